package e2e

import (
	"testing"

	"github.com/multi-registry-push/multi-registry-push/test/servers/distribution"
	"github.com/multi-registry-push/multi-registry-push/test/servers/selftest"
)

func TestKitDistribution3(t *testing.T) { selftest.Run(t, distribution.Start) }
