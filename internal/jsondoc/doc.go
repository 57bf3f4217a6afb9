// Package jsondoc reads JSON documents that came from outside: manifests, indexes, lists of
// referrers, what engines and archives say. A small document must not become a large value,
// and must not mean one thing here and another in a registry.
package jsondoc
