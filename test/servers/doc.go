// Package servers starts real registries on loopback ports inside the test
// process, each with authentication, a log of its requests and a hook that
// makes chosen requests fail.
//
// A server is a stack of handlers, each one idea and one file: the log sees
// everything, faults come next, then authentication, then the registry itself.
// Around the registry itself is the order of writes: a server fails its test when a
// client writes what points at things that are not there yet.
// CNCF Distribution 3 lives in the package distribution beside this one, because
// what links it takes long to build.
package servers
