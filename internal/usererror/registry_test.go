package usererror

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
)

// failed is an error of a registry.
type failed struct {
	host, kind string
	err        error
}

func (f failed) Error() string { return f.host + "/me/app: writing tag 1: " + f.err.Error() }
func (f failed) Unwrap() error { return f.err }
func (f failed) Failure() (host, operation, kind string) {
	return f.host, f.host + "/me/app: writing tag 1", f.kind
}

// TestFailures: a failure of a registry is a problem with its code, and with the remedy for
// its host; whoever wraps it, it stays one.
func TestFailures(t *testing.T) {
	cause := errors.New("403")
	for _, test := range []struct {
		err    failed
		code   Code
		advice string
	}{
		{failed{"quay.io", "no-push-permission", cause}, NoPushPermission, "Give the account or token write access"},
		{failed{"ghcr.io", "no-push-permission", cause}, NoPushPermission, "packages: write"},
		{failed{"1.dkr.ecr.eu-west-1.amazonaws.com", "no-push-permission", cause}, NoPushPermission, "ecr:PutImage"},
		{failed{"localhost:5000", "loopback-inside", cause}, Unreachable, "Inside a container action localhost is"},
		{failed{"quay.io", "read-only", cause}, RegistryRefused, "takes no pushes"},
		{failed{"quay.io", "unreachable", syscall.EMFILE}, TooManyFiles, "ulimit -n"},
	} {
		for _, err := range []error{test.err, fmt.Errorf("one of them: %w", test.err)} {
			if !Is(err, test.code) || !strings.Contains(Advice(err), test.advice) {
				t.Errorf("%v: %s: %s", err, Of(err).Code, Advice(err))
			}
			if want := err.Error() + " [" + string(test.code) + "]"; Text(err) != want {
				t.Errorf("%q, want %q", Text(err), want)
			}
		}
		outer := New(TagRefused, test.err.host, "it was not tagged", "", test.err)
		if Of(outer) != outer || !Is(outer, test.code) {
			t.Errorf("%v: %v", outer, Of(outer))
		}
	}
	if Of(nil) != nil || Of(cause) != nil || Text(cause) != "403" {
		t.Error("an error of nobody here is a problem")
	}
}
