// Package distribution starts CNCF Distribution 3 inside the test process. It is apart
// from the rest of the kit because what imports it takes long to link: keep the
// number of test binaries that do so small.
package distribution

import (
	"io"
	"net/http"
	"runtime/debug"
	"sync"
	"testing"

	"github.com/distribution/distribution/v3/configuration"
	"github.com/distribution/distribution/v3/registry/handlers"
	"github.com/sirupsen/logrus"
	"go.uber.org/goleak"

	// What the configuration below names.
	_ "github.com/distribution/distribution/v3/registry/auth/htpasswd"
	_ "github.com/distribution/distribution/v3/registry/auth/token"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/filesystem"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/inmemory"

	"github.com/multi-registry-push/multi-registry-push/test/servers"
)

// once silences Distribution's logger, which is one for the whole process. And Distribution takes a
// buffer of 4 MiB for each blob that it reads, of which collecting the garbage would take a
// third of a test's time: it is collected less often, until there are 2 GiB.
var once = sync.OnceFunc(func() {
	logrus.SetOutput(io.Discard)
	debug.SetGCPercent(800)
	debug.SetMemoryLimit(2 << 30)
})

// Start starts a Distribution 3. It authenticates by itself, with a password file or by
// verifying the token server's JWTs.
func Start(t testing.TB, o servers.Options) *servers.Server {
	t.Helper()
	once()
	return servers.Start(t, o, func(s *servers.Server) http.Handler {
		app := handlers.NewApp(t.Context(), config(t, s))
		t.Cleanup(func() { _ = app.Shutdown() })
		return app
	})
}

func config(t testing.TB, s *servers.Server) *configuration.Configuration {
	t.Helper()
	o := s.Options()
	c := &configuration.Configuration{Storage: configuration.Storage{
		"inmemory":    {},
		"delete":      {"enabled": o.Delete},
		"redirect":    {"disable": true},
		"maintenance": {"uploadpurging": map[any]any{"enabled": false}},
	}}
	if o.Folder != "" {
		delete(c.Storage, "inmemory")
		c.Storage["filesystem"] = configuration.Parameters{"rootdirectory": o.Folder}
	}
	c.HTTP.Secret = "test"
	c.HTTP.RelativeURLs = true
	c.Catalog.MaxEntries = 100
	switch o.Auth {
	case servers.Basic:
		c.Auth = configuration.Auth{"htpasswd": {"realm": "test registry", "path": s.Htpasswd(t)}}
	case servers.Token:
		c.Auth = configuration.Auth{"token": {
			"realm": s.Tokens.Realm, "service": s.Tokens.Service, "issuer": s.Tokens.Issuer, "jwks": s.Tokens.JWKS,
		}}
	}
	return c
}

// Leaks are the goroutines that Distribution leaves behind, to pass to goleak: the
// broadcaster of its events has no end.
func Leaks() []goleak.Option {
	return []goleak.Option{goleak.IgnoreTopFunction("github.com/docker/go-events.(*Broadcaster).run")}
}
