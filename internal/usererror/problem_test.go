package usererror

import (
	"errors"
	"fmt"
	"testing"
)

// TestOneCode: a message ends with the code to look for, and holds no other.
func TestOneCode(t *testing.T) {
	refused := New(RegistryRefused, "ghcr.io", "reading manifest 1", "", errors.New("404"))
	for _, cause := range []error{refused, fmt.Errorf("the source: %w", refused)} {
		outer := New(SourceNotFound, "ghcr.io", "it is not there", "", cause)
		want := "it is not there: reading manifest 1: 404 [source-not-found]"
		if cause != error(refused) {
			want = "it is not there: the source: reading manifest 1: 404 [source-not-found]"
		}
		if outer.Error() != want || !Is(outer, RegistryRefused) {
			t.Errorf("%q", outer.Error())
		}
	}
}
