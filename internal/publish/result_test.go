package publish

import (
	"fmt"
	"net"
	"os"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/multi-registry-push/multi-registry-push/internal/redact"
)

// Every string of a Result that is not structure (a host, a reference, a digest, a platform, a
// name from the plan) is of a type of its own, which is redacted when it is made: who adds a
// plain one says here what it is.
func TestFreeTextIsRedacted(t *testing.T) {
	var plain []string
	var walk func(at string, typ reflect.Type)
	walk = func(at string, typ reflect.Type) {
		switch typ.Kind() {
		case reflect.Struct:
			if typ == reflect.TypeFor[time.Time]() {
				return
			}
			for i := range typ.NumField() {
				if f := typ.Field(i); f.IsExported() {
					walk(at+"."+f.Name, f.Type)
				}
			}
		case reflect.Slice, reflect.Pointer, reflect.Map:
			walk(at, typ.Elem())
		case reflect.String:
			if typ == reflect.TypeFor[string]() {
				plain = append(plain, strings.TrimPrefix(at, "."))
			}
		}
	}
	walk("", reflect.TypeFor[Result]())
	want := []string{
		"Images.Name", "Images.Reference", "Images.Parts", "Images.Digest", "Images.MediaType", "Images.Platforms",
		"Registries.Host", "Registries.References.Reference", "Registries.References.Before", "Registries.References.Now",
		"Registries.Created", "Registries.ToCreate",
		"Skipped.Input", "Skipped.Text", "Skipped.Host", "Skipped.Reason", // of the inputs, and why in our words
		"Notes.Host",
	}
	if !slices.Equal(plain, want) {
		t.Errorf("plain strings in a Result:\n%s\nwant\n%s", strings.Join(plain, "\n"), strings.Join(want, "\n"))
	}
}

// TestFailuresHaveAGist: without what differs where registries fail alike, and without
// secrets.
func TestFailuresHaveAGist(t *testing.T) {
	refused := &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	f := NewFailure(fmt.Errorf("logging in with hunter2: %w", refused), time.Time{}, func(s string) redact.Redacted {
		return redact.Redacted(strings.ReplaceAll(s, "hunter2", "***"))
	})
	if want := redact.Redacted("logging in with ***: connection refused"); f.Gist != want || f.Message == want {
		t.Errorf("%q, of %q", f.Gist, f.Message)
	}
}
