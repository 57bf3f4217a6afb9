package servers

import (
	"net/http"
	"strings"
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
		if o.NoReferrersAPI {
			return s.Authenticate(withoutReferrers(server))
		}
		return s.Authenticate(server)
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
