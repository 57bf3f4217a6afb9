// Package e2e runs the main job against real registries. It is one test binary on
// purpose: linking Distribution takes long.
package e2e

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/multi-registry-push/multi-registry-push/test/servers/distribution"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, distribution.Leaks()...) }
