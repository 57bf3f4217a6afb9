// Package registry talks to registries that speak the OCI distribution
// specification 1.1. A Client is one host: its transport, retries, limits, pauses,
// counters and tokens; a Repository is the view on one of its repositories: reading,
// uploading with resume, tagging.
//
// One request passes through these layers, from the top:
//
//	Repository's methods   what is asked, and what the answer means
//	retry (retry.go)       passing failures again, by a budget of time; pauses
//	send (send.go)         redirects and credentials: 401 means a new token, once
//	wire (wire.go)         connections, counters, stall detection, address rules
//
// Errors are *problem.Problem; the registry's own words are in the *Error that it
// wraps.
package registry
