package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// standIn is how a registry treats people without a login.
type standIn struct {
	host    string
	realm   string // of its token service, "" for none
	refuses int    // the token service's answer for what is private, 0 if it gives a token
	denies  int    // the registry's answer for what is private
	noHead  int    // its answer to every HEAD, 0 if it takes them
}

func (s standIn) answer(t *testing.T, private, missing bool, broken int) handlerTripper {
	return handlerTripper{http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		at := r.URL.Scheme + "://" + r.URL.Host + r.URL.Path
		if strings.Contains(r.Header.Get("Authorization"), "Basic") || strings.Contains(r.Header.Get("Authorization"), "secret") {
			t.Errorf("%s was asked with a login", at)
		}
		token := r.Header.Get("Authorization") == "Bearer anonymous-of-"+s.host
		switch {
		case at == s.realm:
			if private && s.refuses != 0 {
				refuse(w, s.refuses, "DENIED", "requested access to the resource is denied")
				return
			}
			_, _ = fmt.Fprintf(w, `{"token":"anonymous-of-%s","expires_in":300}`, s.host)
		case s.realm != "" && !token:
			w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm=%q,service=%q`, s.realm, s.host))
			refuse(w, http.StatusUnauthorized, "UNAUTHORIZED", "authentication required")
		case r.URL.Path == "/v2/":
		case broken != 0:
			refuse(w, broken, "", "not now")
		case r.Method == http.MethodHead && s.noHead != 0:
			w.WriteHeader(s.noHead)
		case missing:
			refuse(w, http.StatusNotFound, "MANIFEST_UNKNOWN", "manifest unknown")
		case private:
			refuse(w, s.denies, "UNAUTHORIZED", "access to the requested resource is not authorized")
		}
	})}
}

func TestCheckPublic(t *testing.T) {
	for _, s := range []standIn{
		{host: "docker.io", realm: "https://auth.docker.io/token", denies: 401},
		{host: "ghcr.io", realm: "https://ghcr.io/token", refuses: 401, denies: 403},
		{host: "quay.io", realm: "https://quay.io/v2/auth", denies: 401},
		{host: "public.ecr.aws", realm: "https://public.ecr.aws/token/", denies: 404},
		{host: "registry.gitlab.com", realm: "https://gitlab.com/jwt/auth", refuses: 403, denies: 403},
		{host: "open.example", denies: 404},
		{host: "denies-head.example", realm: "https://denies-head.example/token", denies: 403, noHead: 403},
		{host: "lacks-head.example", denies: 403, noHead: 405},
	} {
		for name, test := range map[string]struct {
			private, missing bool
			broken           int
			public, denied   bool
		}{
			"public":    {public: true},
			"private":   {private: true, denied: true},
			"not shown": {missing: true, denied: true},
			"limited":   {broken: 429},
			"broken":    {broken: 503},
		} {
			t.Run(s.host+" "+name, func(t *testing.T) {
				clock := newClock()
				c := New(Options{
					Host: s.host, Base: s.answer(t, test.private, test.missing, test.broken), Clock: clock,
					Auth: account("acme", "secret-of-acme"),
				})
				err := c.Repository("acme/app").CheckPublic(t.Context(), "v1")
				if (err == nil) != test.public || errors.Is(err, ErrNotPublic) != test.denied {
					t.Error(err)
				}
				if clock.Slept() > 10*time.Second || test.broken == 429 && clock.Slept() != 0 {
					t.Errorf("it took %v", clock.Slept())
				}
			})
		}
	}
}

func TestCheckPublicCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c := New(Options{Host: "registry.example", Base: standIn{}.answer(t, false, false, 0), Clock: newClock()})
	if err := c.Repository("a").CheckPublic(ctx, "v1"); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
