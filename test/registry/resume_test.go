package registry

import (
	"testing"

	"github.com/multi-registry-push/multi-registry-push/internal/registry"
)

// A layer of 300 MB, with -short of 120 MB, whose connection is reset five times costs the
// registry hardly more than its size, where it keeps what it has.
func TestResumeOfALargeLayer(t *testing.T) {
	size := 300_000_000
	if testing.Short() {
		size = 120_000_000
	}
	data, d := noise(size, 300)
	for _, kind := range kinds {
		if !kind.keeps {
			continue
		}
		t.Run(kind.name, func(t *testing.T) {
			s := kind.start(t)
			l := newLink(t, s.Host, true)
			c := client(t, s, l, patience(false), l.clear)
			r := c.Repository("large/layer")
			if err := r.Login(t.Context()); err != nil {
				t.Fatal(err)
			}
			s.Log.Reset()
			p := &trigger{do: func() { l.add("reset_peer", "upstream", map[string]any{"timeout": 0}) }}
			for i := range 5 {
				p.at = append(p.at, int64(size/6*(i+1)))
			}
			how, err := r.Upload(t.Context(), d, nil, content(data), p)
			if err != nil || how != registry.Uploaded {
				t.Fatalf("Upload: %v, %v\n%s", how, err, s.Log)
			}
			got := float64(bodies(s)) / float64(size)
			t.Logf("%d retries, %.3f times the layer arrived at the server", c.Stats().Retries, got)
			if c.Stats().Retries < 5 {
				t.Errorf("%d resets were met, want 5", c.Stats().Retries)
			}
			if got >= 1.05 {
				t.Errorf("%.3f times the layer was sent, want less than 1.05", got)
			}
			if n, err := r.StatBlob(t.Context(), d.Digest.String()); err != nil || n != int64(size) {
				t.Errorf("StatBlob: %d, %v", n, err)
			}
		})
	}
}
