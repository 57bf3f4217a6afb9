package report

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/multi-registry-push/multi-registry-push/internal/publish"
)

func TestLiveBars(t *testing.T) {
	s := newStage(1, LogOptions{})
	var out bytes.Buffer
	live := NewLive(&out, s.Log, func() int { return 100 })
	s.Image(0, publish.ImageResult{Digest: digest})
	s.copying("ghcr.io", 100*mb)
	s.after(2 * time.Second)
	s.Bytes("ghcr.io", 0, 50*mb)
	live.Tick(s.now)
	if _, err := live.Write([]byte("a line above\n")); err != nil {
		t.Fatal(err)
	}
	s.after(time.Second)
	s.Phase("ghcr.io", publish.Copy, s.now, true)
	live.Tick(s.now)
	live.Close()
	live.Close()
	text := out.String()
	for _, want := range []string{"ghcr.io", "50.0 of 100.0 MB, 25.0 MB/s, 2 s left", "a line above\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in %q", want, text)
		}
	}
}
