//go:build unix

package source

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// A file that becomes a named pipe when it has been found is an error, and is not waited for: nobody
// may ever write to it, and a cancellation ends no open.
func TestFileThatBecomesAPipe(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "blob")
	if err := os.WriteFile(path, []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	set, err := openFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = set.close() }()
	found, err := set.lookup("blob")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if raw, err := readAll(found, "blob", 100); err == nil {
		t.Errorf("it was read: %q", raw)
	}
}
