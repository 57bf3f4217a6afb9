package registry

import (
	"github.com/multi-registry-push/multi-registry-push/internal/registry/transport"
	"github.com/multi-registry-push/multi-registry-push/internal/retry"
)

// What the transport below is told, and tells.
type (
	// Options say how to talk to one host. Host is required; everything else works as its zero value.
	Options = transport.Options
	// Clock tells the time and waits.
	Clock = retry.Clock
	// Notice is something that a person who reads the log may want to know.
	Notice = transport.Notice
	// Trace is one request, told when it has ended.
	Trace = transport.Trace
	// Stats count what went over the wire so far.
	Stats = transport.Stats
	// Bodies bounds the large blobs that a process has in flight; see NewBodies.
	Bodies = transport.Bodies
	// RateLimit is what a registry says of pulls.
	RateLimit = transport.RateLimit
)

// NewBodies returns the bound for a process that publishes to so many registries:
// max(64, 4 × registries) large blobs in flight, and never fewer than 4 to each.
func NewBodies(registries int) *Bodies { return transport.NewBodies(registries) }
