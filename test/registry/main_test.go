// Package registry holds the client of registries against faults: toxiproxy stands
// between it and real registries and resets, cuts, stalls and slows down connections
// at chosen bytes. Everything is on loopback and ends by itself.
package registry

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/multi-registry-push/multi-registry-push/test/servers"
	"github.com/multi-registry-push/multi-registry-push/test/servers/distribution"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, append(distribution.Leaks(), servers.Lingers(),
		// What toxiproxy leaves of a connection that a toxic has closed: the toxics
		// before it offer bytes that nobody takes.
		goleak.IgnoreAnyFunction("github.com/Shopify/toxiproxy/v2/toxics.(*ToxicStub).Run"),
		goleak.IgnoreAnyFunction("github.com/Shopify/toxiproxy/v2.(*ToxicLink).write"),
		goleak.IgnoreAnyFunction("github.com/Shopify/toxiproxy/v2.(*ToxicLink).read"),
	)...)
}
