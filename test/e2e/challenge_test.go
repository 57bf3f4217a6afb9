package e2e

import (
	"net/http"
	"strings"
	"testing"

	"github.com/multi-registry-push/multi-registry-push/internal/report"
	"github.com/multi-registry-push/multi-registry-push/test/images"
	"github.com/multi-registry-push/multi-registry-push/test/servers"
)

// A password is tried with Basic wherever Bearer is not offered: several schemes in one
// line or in several, in any order, or no challenge at all, as proxies with Kerberos answer.
func TestBasicWhereBearerIsNotOffered(t *testing.T) {
	image := images.Build(images.Options{Single: true, Layers: 2, LayerBytes: 1 << 10})
	archive := image.Archive(t)
	for name, challenges := range map[string][]string{
		"one line":              {`Negotiate, Basic realm="proxy"`},
		"one line, Basic first": {`Basic realm="a, Bearer b", Negotiate, NTLM`},
		"with parameters":       {`Digest realm="x", nonce="y", qop="auth", Basic realm=proxy, Negotiate`},
		"two lines":             {"Negotiate", `Basic realm="proxy"`},
		"three, Basic between":  {"NTLM", `basic realm="proxy", charset="UTF-8"`, "Negotiate"},
		"unknown ones":          {"Negotiate", "NTLM"},
		"none":                  nil,
	} {
		t.Run(name, func(t *testing.T) {
			s := servers.Olareg(t, servers.Options{Wrap: challenging(challenges)})
			j := job{source: archive, tags: []string{s.Reference("acme/app", "1")}, auth: s.Item(0)}
			j.run(t).exits(0).has(map[string]report.Status{s.Host: report.Pushed})
			image.Compare(t, s.Reference("acme/app", "1"), s.Inspect()...)

			to := servers.Olareg(t, servers.Options{Auth: servers.None})
			job{source: s.Reference("acme/app", "1"), tags: []string{to.Reference("acme/app", "1")}, auth: s.Item(0) + to.Item(0)}.
				run(t).exits(0).has(map[string]report.Status{to.Host: report.Pushed})

			j.auth = strings.Replace(s.Item(0), "s3cret", "wrong", 1)
			j.run(t).exits(1).says("wrong-credentials", s.Host)
		})
	}
}

// challenging answers 401s to the program with other challenges than the registry's.
func challenging(challenges []string) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasPrefix(r.UserAgent(), "multi-registry-push") { // not those who look into it
				w = &challenged{w, challenges}
			}
			next.ServeHTTP(w, r)
		})
	}
}

type challenged struct {
	http.ResponseWriter
	challenges []string
}

func (c *challenged) WriteHeader(status int) {
	if status == http.StatusUnauthorized {
		c.Header().Del("WWW-Authenticate")
		for _, challenge := range c.challenges {
			c.Header().Add("WWW-Authenticate", challenge)
		}
	}
	c.ResponseWriter.WriteHeader(status)
}
