package servers

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/olareg/olareg"
	"github.com/olareg/olareg/config"
)

// Olareg starts an olareg: a second implementation, with the referrers API, behind an
// authenticating handler of ours.
func Olareg(t testing.TB, o Options) *Server {
	t.Helper()
	return Start(t, o, func(s *Server) http.Handler {
		c := config.Config{Storage: config.ConfigStorage{StoreType: config.StoreMem}}
		if o.Folder != "" {
			c.Storage = config.ConfigStorage{StoreType: config.StoreDir, RootDir: o.Folder}
		}
		c.Storage.GC.Frequency = -1
		c.API.DeleteEnabled = &o.Delete
		c.API.Manifest.SparseImage, c.API.Manifest.SparseIndex = &o.Unchecked, &o.Unchecked
		referrers := !o.NoReferrersAPI
		c.API.Referrer.Enabled = &referrers
		server := olareg.New(c)
		t.Cleanup(func() { _ = server.Close() })
		handler := http.Handler(server)
		if o.Folder != "" {
			handler = indexAlone(handler)
		}
		if o.NoReferrersAPI {
			handler = withoutReferrers(handler)
		}
		return s.Authenticate(handler)
	})
}

// indexAlone lets nothing else happen while a request is at olareg's index.json: loading it
// writes (v0.2.2) what requests for blobs read without a lock. Those come and go side by side.
func indexAlone(next http.Handler) http.Handler {
	var mu sync.RWMutex
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/blobs/") && r.Method != http.MethodPost {
			mu.RLock()
			defer mu.RUnlock()
		} else {
			mu.Lock()
			defer mu.Unlock()
		}
		next.ServeHTTP(w, r)
	})
}

// withoutReferrers answers questions for referrers as registries do that never heard of them.
func withoutReferrers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/referrers/") {
			http.NotFound(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}
