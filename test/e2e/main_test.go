// Package e2e runs the main job against real registries. It is one test binary on
// purpose: linking Distribution takes long.
package e2e

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/multi-registry-push/multi-registry-push/test/servers"
	"github.com/multi-registry-push/multi-registry-push/test/servers/distribution"
)

func TestMain(m *testing.M) {
	tidy := goleak.Cleanup(func(status int) {
		_ = os.RemoveAll(built.folder)
		os.Exit(status)
	})
	goleak.VerifyTestMain(m, append(distribution.Leaks(), servers.Lingers(), tidy)...)
}
