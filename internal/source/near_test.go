package source

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

// A misspelt file name offers the one that is there, and nothing that is quite another.
func TestMisspeltFile(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"image.tar", "other.tar.gz"} {
		must(t, os.WriteFile(filepath.Join(dir, name), nil, 0o600))
	}
	for written, want := range map[string]string{"imgae.tar": "There is " + filepath.Join(dir, "image.tar") + ": is that meant?", "release-of-today.tar": ""} {
		_, err := open(t, filepath.Join(dir, written), Options{})
		if !usererror.Is(err, usererror.SourceNotFound) {
			t.Fatal(err)
		}
		advice := usererror.Advice(err)
		if strings.Contains(advice, "is that meant?") != (want != "") || !strings.Contains(advice, want) {
			t.Errorf("%s: %q, want %q", written, advice, want)
		}
	}
}
