package e2e

import (
	"testing"

	"github.com/multi-registry-push/multi-registry-push/test/servers/distribution"
	"github.com/multi-registry-push/multi-registry-push/test/servers/selftest"
)

func TestKitDistribution3(t *testing.T) { selftest.Run(t, distribution.Start) }

// stride is how far sweeps go on at a time. The race detector makes a run several times as
// slow: there, and with -short, they take a sample.
func stride() int {
	if raceDetector || testing.Short() {
		return 6
	}
	return 1
}
