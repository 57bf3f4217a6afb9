package servers

import (
	"io"
	"log"
	"net/http"
	"strings"
	"testing"

	"cuelabs.dev/go/oci/ociregistry/ocimem"
	"cuelabs.dev/go/oci/ociregistry/ociserver"
	"github.com/google/go-containerregistry/pkg/registry"
)

// OCIRegistry starts the server of cuelabs.dev/go/oci/ociregistry with its storage in memory,
// behind an authenticating handler of ours. It has the referrers API, and takes no manifest
// before what it points at.
func OCIRegistry(t testing.TB, o Options) *Server {
	t.Helper()
	return Start(t, o, func(s *Server) http.Handler {
		store := ocimem.NewWithConfig(&ocimem.Config{LaxChildReferences: o.Unchecked})
		server := ociserver.New(store, &ociserver.Options{DisableReferrersAPI: o.NoReferrersAPI})
		return s.Authenticate(inMemory(t, o, server))
	})
}

// GoContainerRegistry starts the registry of go-containerregistry, behind an authenticating
// handler of ours. It takes indexes before their manifests, and manifests before their blobs.
func GoContainerRegistry(t testing.TB, o Options) *Server {
	t.Helper()
	return Start(t, o, func(s *Server) http.Handler {
		server := registry.New(registry.Logger(log.New(io.Discard, "", 0)), registry.WithReferrersSupport(!o.NoReferrersAPI))
		return s.Authenticate(inMemory(t, o, server))
	})
}

// inMemory refuses deletion where the options do not allow it, which these registries always
// do. Uploads may be given up.
func inMemory(t testing.TB, o Options, next http.Handler) http.Handler {
	t.Helper()
	if o.Folder != "" {
		t.Fatal("this registry keeps nothing in a folder")
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodDelete && !o.Delete && !strings.Contains(r.URL.Path, "/blobs/uploads/") {
			refuse(w, http.StatusMethodNotAllowed, "UNSUPPORTED", "the operation is unsupported")
			return
		}
		next.ServeHTTP(w, r)
	})
}
