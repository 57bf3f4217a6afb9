package usererror

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
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

// TestRepositoryIsNamedOnce: a registry's cause begins with its repository, which what was done
// names too.
func TestRepositoryIsNamedOnce(t *testing.T) {
	cause := errors.New("quay.io/me/app: writing tag 1: 403 DENIED")
	for what, want := range map[string]string{
		"quay.io/me/app:1 was not tagged": "quay.io/me/app:1 was not tagged: writing tag 1: 403 DENIED [tag-refused]",
		"it was not tagged":               "it was not tagged: quay.io/me/app: writing tag 1: 403 DENIED [tag-refused]",
	} {
		if got := New(TagRefused, "quay.io", what, "", cause).Error(); got != want {
			t.Errorf("%s\nwant %s", got, want)
		}
	}
}

// What fails for want of open files is named so, whatever it was for.
func TestTooManyFiles(t *testing.T) {
	for _, cause := range []error{syscall.EMFILE, &os.PathError{Op: "open", Path: "/tmp/x", Err: syscall.ENFILE}} {
		p := New(TemporaryFolder, "", "the temporary folder cannot be used", "Make room.", fmt.Errorf("writing: %w", cause))
		if p.Code != TooManyFiles || !strings.Contains(p.Advice(), "ulimit -n") {
			t.Errorf("%v: %s", p, p.Advice())
		}
	}
}
