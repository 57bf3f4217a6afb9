// Package transport carries requests to one registry host: connections, retries, rate
// limits, stalls, and which addresses may be called.
package transport
