package publish

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Every registry has as many blobs in flight as concurrency says, the smallest among
// them, so that small ones do not wait for large ones.
func TestConcurrencyHoldsForEveryRegistry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var blobs []*fakeBlob
		for n := range 10 {
			blobs = append(blobs, newBlob(strings.Repeat("x", n+1), types.OCILayer))
		}
		s := newSetup(t, newManifest(t, nil, blobs...), "a.test/me/app:1", "b.test/me/app:1")
		s.request.Concurrency = 3
		gate := make(chan struct{})
		var mu sync.Mutex
		flying := map[string][]string{}
		for name, h := range s.hosts {
			h.fail = func(call string) error {
				if digest, ok := strings.CutPrefix(call, "Upload me/app "); ok {
					mu.Lock()
					flying[name] = append(flying[name], digest)
					mu.Unlock()
					<-gate
				}
				return nil
			}
		}
		go s.run(t.Context())
		synctest.Wait()
		want := []string{blobs[0].d.Digest.String(), blobs[8].d.Digest.String(), blobs[9].d.Digest.String()}
		slices.Sort(want)
		for name := range s.hosts {
			mu.Lock()
			got := slices.Sorted(slices.Values(flying[name]))
			mu.Unlock()
			if !slices.Equal(got, want) {
				t.Errorf("%s is sent %v, want %v", name, got, want)
			}
		}
		close(gate)
		synctest.Wait()
		s.kept(t)
	})
}
