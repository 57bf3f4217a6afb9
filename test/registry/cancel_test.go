package registry

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/multi-registry-push/multi-registry-push/internal/registry"
	"github.com/multi-registry-push/multi-registry-push/test/servers"
	"github.com/multi-registry-push/multi-registry-push/test/servers/distribution"
)

// An upload that is cancelled while its request still runs leaves nothing behind, also
// where the registry has not yet noticed that nobody sends any more: it is told until
// its request has ended.
func TestCancelledUploadLeavesNothing(t *testing.T) {
	data, d := noise(38_000_000, 38)
	folder := t.TempDir()
	s := distribution.Start(t, servers.Options{Folder: folder})
	for range 5 {
		ctx, cancel := context.WithCancel(t.Context())
		c := registry.New(registry.Options{
			Host: newLink(t, s.Host, false).host, Clock: &quick{}, Stall: patience(false), Answer: patience(false), GivingUp: 5 * time.Minute,
			Auth: func(string) authn.Authenticator { return s.Authenticator() },
		})
		p := &trigger{at: []int64{d.Size / 2}, do: cancel}
		if _, err := c.Repository("cancelled/layer").Upload(ctx, d, nil, content(data), p); !errors.Is(err, context.Canceled) {
			t.Fatalf("Upload: %v", err)
		}
		c.Close()
		cancel()
	}
	s.Log.Settled()
	left := int64(0)
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		// (Distribution itself leaves some bytes of its hash's state.)
		if err != nil || entry.IsDir() || !strings.Contains(path, "_uploads") || entry.Name() != "data" {
			return err
		}
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		left += info.Size()
		return nil
	})
	if err != nil || left != 0 {
		t.Errorf("%d bytes of uploads were left, %v\n%s", left, err, s.Log)
	}
}
