package servers

import (
	"os"
	"os/exec"
	"testing"
)

// Require skips the test, by name, when a program it needs is not installed. With
// REQUIRE_ALL=1, as in CI, that is a failure. It returns the program's path.
func Require(t testing.TB, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err == nil {
		return path
	}
	Missing(t, "needs "+program+", which is not installed")
	return ""
}

// Missing skips the test with a reason, or fails it where REQUIRE_ALL=1.
func Missing(t testing.TB, reason string) {
	t.Helper()
	if os.Getenv("REQUIRE_ALL") == "1" {
		t.Fatalf("%s (REQUIRE_ALL=1)", reason)
	}
	t.Skip(reason)
}
