package auth

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/multi-registry-push/multi-registry-push/internal/credentials"
	"github.com/multi-registry-push/multi-registry-push/internal/imageref"
	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
	"github.com/multi-registry-push/multi-registry-push/test/servers"
	"github.com/multi-registry-push/multi-registry-push/test/standins"
)

const (
	ecrHost = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
	ecrAPI  = "api.ecr.eu-west-1.amazonaws.com"
	stsHost = "sts.eu-west-1.amazonaws.com"
)

// provider is one way to log in, with the stand-ins of a job set up for it.
type provider struct {
	name  string
	host  string
	path  string
	hosts []string // that are asked, in order, behind GitHub's
	life  time.Duration
	setUp func(*job) setUp
}

type setUp struct {
	item     credentials.Item
	secrets  func() []string
	distrust func() // makes the provider refuse the job
	refusal  string // is in the error then
	code     usererror.Code
}

func providers() []provider {
	azure := func(j *job) setUp {
		m := standins.NewMicrosoft(j.t, j.net, j.github)
		m.Now = j.clock.Now
		return setUp{
			item:    credentials.Item{Line: 1, Registry: standins.AzureRegistry, AzureClient: value(m.Client), AzureTenant: value(m.Tenant)},
			secrets: m.Issued, distrust: func() { m.Subject = "repo:other/app" }, refusal: "AADSTS70021", code: usererror.OIDCRefused,
		}
	}
	google := func(account bool) func(*job) setUp {
		return func(j *job) setUp {
			g := standins.NewGoogle(j.t, j.net, j.github)
			g.Now = j.clock.Now
			s := setUp{
				item:    credentials.Item{Line: 1, Registry: standins.GoogleRegistry, GCPProvider: value(g.Provider)},
				secrets: g.Issued, distrust: func() { g.Subject = "repo:other/app" }, refusal: "attribute condition", code: usererror.OIDCRefused,
			}
			if account {
				s.item.GCPServiceAccount = value(g.Account)
				g.AccountOnly = true
				s.distrust, s.refusal = func() { g.Account = "another@acme" }, "PERMISSION_DENIED"
			}
			return s
		}
	}
	ecr := func(role bool) func(*job) setUp {
		return func(j *job) setUp {
			a := standins.NewAWS(j.t, j.net, j.github)
			a.Now = j.clock.Now
			a.Registry(ecrHost, ecrAPI, "123456789012", "eu-west-1").Add("acme/app", standins.Repository{})
			s := setUp{item: credentials.Item{Line: 1, Registry: ecrHost, ECR: "auto"}, secrets: a.Secrets}
			if role {
				a.STS(stsHost, "sts.amazonaws.com")
				s.item.AWSRole = value(a.Role)
				s.distrust, s.refusal, s.code = func() { a.Subject = "repo:other/app" }, "Not authorized to perform sts:AssumeRoleWithWebIdentity", usererror.OIDCRefused
				return s
			}
			id, key := a.User(standins.Everything()...)
			item := withKey(s.item, id, key)
			s.item = item
			s.distrust, s.refusal, s.code = func() { a.Forget(id) }, "UnrecognizedClientException", usererror.WrongCredentials
			return s
		}
	}
	quay := func(audience string) func(*job) setUp {
		return func(j *job) setUp {
			host := "quay.io"
			if audience != "" {
				host = "quay.acme.example"
			}
			q := standins.NewQuay(j.t, j.net, j.github, host)
			q.Now = j.clock.Now
			s := setUp{
				item:    credentials.Item{Line: 1, Registry: host, QuayRobot: value(q.Robot), QuayAudience: value(audience)},
				secrets: q.Issued, distrust: func() { q.Subjects = []string{"repo:other/app"} }, refusal: "Token does not match robot", code: usererror.OIDCRefused,
			}
			if audience != "" {
				q.Audiences = []string{audience}
			}
			return s
		}
	}
	jfrog := func(registry string) func(*job) setUp {
		return func(j *job) setUp {
			p := standins.NewJFrog(j.t, j.net, j.github, "acme.jfrog.io", registry)
			p.Now, p.NamesUser = j.clock.Now, registry == "acme.jfrog.io"
			s := setUp{
				item:    credentials.Item{Line: 1, Registry: registry, JFrogProvider: value(p.Provider)},
				secrets: p.Issued, distrust: func() { p.Subject = "repo:other/app" }, refusal: "no identity mapping matches", code: usererror.OIDCRefused,
			}
			if registry != p.Platform {
				p.Audience = "acme-builds"
				s.item.JFrogAudience, s.item.JFrogURL = value(p.Audience), value("https://"+p.Platform+"/")
			}
			return s
		}
	}
	return []provider{
		{"Docker Hub", imageref.DockerHub, "acme/app", []string{standins.DockerHubIdentity}, time.Hour, func(j *job) setUp {
			d := standins.NewDockerHub(j.t, j.net, j.github)
			d.Now = j.clock.Now
			return setUp{
				item:    credentials.Item{Line: 1, Registry: imageref.DockerHub, Username: value(d.Organization), DockerHubConnection: value(d.Connection)},
				secrets: d.Issued, distrust: func() { d.Subject = "repo:other/app" }, refusal: "access_denied", code: usererror.OIDCRefused,
			}
		}},
		{"Docker Hub for hardened images", standins.HardenedImages, "acme/app", []string{standins.DockerHubIdentity}, time.Hour, func(j *job) setUp {
			d := standins.NewDockerHub(j.t, j.net, j.github)
			d.Now = j.clock.Now
			return setUp{
				item:    credentials.Item{Line: 1, Registry: standins.HardenedImages, Username: value(d.Organization), DockerHubConnection: value(d.Connection)},
				secrets: d.Issued, distrust: func() { d.Subject = "repo:other/app" }, refusal: "access_denied", code: usererror.OIDCRefused,
			}
		}},
		{"Quay", "quay.io", "acme/app", []string{"quay.io"}, time.Hour, quay("")},
		{"Quay with an audience", "quay.acme.example", "acme/app", []string{"quay.acme.example"}, time.Hour, quay("https://acme.example")},
		{"JFrog", "acme.jfrog.io", "docker/app", []string{"acme.jfrog.io"}, time.Hour, jfrog("acme.jfrog.io")},
		{"JFrog behind a host of its own", "docker.acme.example", "docker/app", []string{"acme.jfrog.io"}, time.Hour, jfrog("docker.acme.example")},
		{"Google", standins.GoogleRegistry, "acme/images/app", []string{standins.GoogleSTS}, time.Hour, google(false)},
		{"Google with a service account", standins.GoogleRegistry, "acme/images/app", []string{standins.GoogleSTS, standins.GoogleIAM}, time.Hour, google(true)},
		{"Azure", standins.AzureRegistry, "acme/app", []string{standins.Entra, standins.AzureRegistry}, 3 * time.Hour, azure},
		{"ECR with an access key", ecrHost, "acme/app", []string{ecrAPI}, 12 * time.Hour, ecr(false)},
		{"ECR with a role", ecrHost, "acme/app", []string{stsHost, ecrAPI}, 12 * time.Hour, ecr(true)},
	}
}

// each runs a test for every provider.
func each(t *testing.T, test func(*testing.T, *job, provider, setUp)) {
	for _, p := range providers() {
		t.Run(p.name, func(t *testing.T) {
			j := newJob(t)
			test(t, j, p, p.setUp(j))
		})
	}
}

// A company's proxy that looks into TLS: its authority has to be trusted first.
func TestUnknownAuthority(t *testing.T) {
	each(t, func(t *testing.T, j *job, p provider, s setUp) {
		transport := j.net.Transport(t)
		transport.TLSClientConfig.RootCAs = x509.NewCertPool()
		j.o.Transport = func() http.RoundTripper { return transport }
		_, err := j.choose(j.resolver(s.item), p.host, p.path).Auth.Authorization()
		if !usererror.Is(err, usererror.UnknownAuthority) || !strings.Contains(usererror.Advice(err), "SSL_CERT_FILE") || !strings.Contains(err.Error(), "certificate") {
			t.Errorf("got %v\n%s", err, usererror.Advice(err))
		}
		if slept := j.clock.Now().Sub(j.start); slept > 0 {
			t.Errorf("it was tried again, for %s", slept)
		}
	})
}

func TestTheCredentialIsAccepted(t *testing.T) {
	each(t, func(t *testing.T, j *job, p provider, s setUp) {
		c := j.choose(j.resolver(s.item), p.host, p.path)
		if len(j.net.Asked()) > 0 {
			t.Errorf("choosing asked %v", j.net.Asked())
		}
		if err := j.push(authn.Anonymous, p.host, p.path); err == nil {
			t.Error("the registry takes images from anybody")
		}
		if err := j.push(c.Auth, p.host, p.path); err != nil {
			t.Error(err)
		}
		for _, token := range append(s.secrets(), j.github.Issued()...) {
			if j.redactor.Redact(token) == token {
				t.Errorf("the redactor does not know the token %.12s…", token)
			}
		}
		config, err := c.Auth.Authorization()
		if err != nil {
			t.Fatal(err)
		}
		header := base64.StdEncoding.EncodeToString([]byte(config.Username + ":" + config.Password))
		if text := j.redactor.Redact(header); strings.Contains(text, header) {
			t.Error("the redactor does not know what an Authorization header will hold")
		}
		hides(t, fmt.Sprintf("%+v", c), s.secrets()...)
	})
}

func TestOneExchangeForAll(t *testing.T) {
	each(t, func(t *testing.T, j *job, p provider, s setUp) {
		r := j.resolver(s.item)
		var wg sync.WaitGroup
		for n := range 24 {
			wg.Go(func() {
				c := j.choose(r, p.host, fmt.Sprintf("acme/app%d", n))
				if _, err := authn.Authorization(t.Context(), c.Auth); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		for _, host := range p.hosts {
			if n := j.times(host); n != 1 {
				t.Errorf("%s was asked %d times", host, n)
			}
		}
	})
}

func TestExpiredTokensAreRenewed(t *testing.T) {
	each(t, func(t *testing.T, j *job, p provider, s setUp) {
		c := j.choose(j.resolver(s.item), p.host, p.path)
		if err := j.push(c.Auth, p.host, p.path); err != nil {
			t.Fatal(err)
		}
		old, err := c.Auth.Authorization()
		if err != nil {
			t.Fatal(err)
		}
		j.clock.Advance(p.life + time.Second)
		if err := j.push(authn.FromConfig(*old), p.host, p.path); err == nil {
			t.Error("the stand-in takes expired credentials")
		}
		if err := j.push(c.Auth, p.host, p.path); err != nil {
			t.Error(err)
		}
	})
}

func TestRefused(t *testing.T) {
	each(t, func(t *testing.T, j *job, p provider, s setUp) {
		s.distrust()
		c := j.choose(j.resolver(s.item), p.host, p.path)
		for range 3 {
			_, err := authn.Authorization(t.Context(), c.Auth)
			if !usererror.Is(err, s.code) || !strings.Contains(err.Error(), s.refusal) || !strings.Contains(err.Error(), p.host) && p.host != imageref.DockerHub {
				t.Fatalf("got %v; want %q with the code %s", err, s.refusal, s.code)
			}
			if usererror.Advice(err) == "" {
				t.Error("no advice")
			}
			if len(err.Error()) > 700 {
				t.Errorf("the answer is shown at length: %s", err)
			}
			hides(t, err.Error(), append(s.secrets(), j.github.Issued()...)...)
		}
		for _, host := range p.hosts {
			if n := j.times(host); n > 1 {
				t.Errorf("%s was asked %d times by one who was refused", host, n)
			}
		}
	})
}

func TestGitHubRefuses(t *testing.T) {
	each(t, func(t *testing.T, j *job, p provider, s setUp) {
		if s.code != usererror.OIDCRefused {
			t.Skip("needs no OIDC token")
		}
		j.set("ACTIONS_ID_TOKEN_REQUEST_TOKEN=not-ours")
		_, err := j.choose(j.resolver(s.item), p.host, p.path).Auth.Authorization()
		if !usererror.Is(err, usererror.OIDCRefused) || !strings.Contains(err.Error(), "Bad credentials") {
			t.Errorf("got %v", err)
		}
		hides(t, err.Error(), "not-ours")
	})
}

// asked are the hosts of a provider, GitHub's first where it is one of them.
func asked(j *job, p provider, s setUp) []string {
	if s.code == usererror.OIDCRefused {
		return append([]string{j.github.Host()}, p.hosts...)
	}
	return p.hosts
}

// asker asks an account for its credential.
type asker func(context.Context) error

// eachHost runs a test for every host of every provider.
func eachHost(t *testing.T, test func(t *testing.T, j *job, host string, account func() asker)) {
	for _, p := range providers() {
		probe := newJob(t)
		for _, host := range asked(probe, p, p.setUp(probe)) {
			t.Run(p.name+", "+host, func(t *testing.T) {
				j := newJob(t)
				s := p.setUp(j)
				test(t, j, host, func() asker {
					c := j.choose(j.resolver(s.item), p.host, p.path)
					return func(ctx context.Context) error {
						_, err := authn.Authorization(ctx, c.Auth)
						if err != nil {
							hides(t, err.Error(), append(s.secrets(), j.github.Issued()...)...)
						}
						return err
					}
				})
			})
		}
	}
}

func TestUnreachable(t *testing.T) {
	eachHost(t, func(t *testing.T, j *job, host string, account func() asker) {
		j.net.Unplug(host)
		if err := account()(t.Context()); !usererror.Is(err, usererror.Unreachable) || !strings.Contains(err.Error(), host) {
			t.Errorf("got %v", err)
		}
	})
}

func TestDroppedOnce(t *testing.T) {
	eachHost(t, func(t *testing.T, j *job, host string, account func() asker) {
		j.net.Faults.Add(servers.Fault{Match: standins.At(host), Drop: true})
		j.net.Faults.Add(servers.Fault{Match: standins.At(host), Status: 503})
		if err := account()(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestFailingForLong(t *testing.T) {
	eachHost(t, func(t *testing.T, j *job, host string, account func() asker) {
		j.net.Faults.Add(servers.Fault{Match: standins.At(host), Count: servers.Forever, Status: 500})
		ask := account()
		if err := ask(t.Context()); !usererror.Is(err, usererror.RegistryGaveUp) || !strings.Contains(err.Error(), host) {
			t.Errorf("got %v", err)
		}
		if n := j.times(host); n > 0 {
			t.Errorf("%d requests got through", n)
		}
		// It is asked again by the next one who needs it.
		j.net.Faults.Clear()
		if err := ask(t.Context()); err != nil {
			t.Errorf("after the outage: %v", err)
		}
	})
}

func TestSlow(t *testing.T) {
	eachHost(t, func(t *testing.T, j *job, host string, account func() asker) {
		never := make(chan struct{})
		t.Cleanup(func() { close(never) })
		reached := make(chan struct{}, 16)
		j.net.Faults.Add(servers.Fault{Match: standins.At(host), Count: servers.Forever, Wait: never, Pass: true, Reached: func(*http.Request) { reached <- struct{}{} }})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		done := make(chan error, 1)
		go func() { done <- account()(ctx) }()
		select {
		case <-reached:
		case err := <-done:
			t.Fatalf("ended before %s was asked: %v", host, err)
		}
		cancel()
		if err := <-done; err == nil || usererror.Is(err, usererror.OIDCRefused) || usererror.Is(err, usererror.WrongCredentials) {
			t.Errorf("cancelled while %s kept us waiting: %v", host, err)
		}
	})
}

func TestMalformed(t *testing.T) {
	bodies := []string{"<html>welcome to the hotel</html>", "{}", "null", `{"access_token": 1, "value": {}, "refresh_token": []}`, "", "[1"}
	eachHost(t, func(t *testing.T, j *job, host string, account func() asker) {
		for _, body := range bodies {
			j.net.Faults.Clear()
			j.net.Faults.Add(servers.Fault{Match: standins.At(host), Count: servers.Forever, Status: http.StatusOK, Body: body})
			if err := account()(t.Context()); usererror.Of(err) == nil {
				t.Errorf("%q as the answer of %s: %v", body, host, err)
			}
		}
	})
}

func TestNoAnswerInTime(t *testing.T) {
	for _, p := range providers() {
		t.Run(p.name, func(t *testing.T) {
			j := newJob(t)
			j.o.Timeout = 10 * time.Millisecond
			s := p.setUp(j)
			host := p.hosts[0]
			if s.code == usererror.OIDCRefused {
				host = j.github.Host()
			}
			never := make(chan struct{})
			defer close(never)
			j.net.Faults.Add(servers.Fault{Match: standins.At(host), Count: servers.Forever, Wait: never, Pass: true})
			_, err := j.choose(j.resolver(s.item), p.host, p.path).Auth.Authorization()
			if !usererror.Is(err, usererror.Unreachable) || !strings.Contains(err.Error(), "no whole answer within 10 ms") {
				t.Errorf("got %v", err)
			}
		})
	}
}

// A token of Docker Hub holds as long as DOCKERHUB_OIDC_EXPIREIN says.
func TestDockerHubExpiry(t *testing.T) {
	for text, want := range map[string]time.Duration{"": time.Hour, "300": 5 * time.Minute, " 3600 ": time.Hour, "1800": 30 * time.Minute} {
		j := newJob(t)
		d := standins.NewDockerHub(t, j.net, j.github)
		d.Now = j.clock.Now
		j.set("DOCKERHUB_OIDC_EXPIREIN=" + text)
		item := credentials.Item{Line: 1, Registry: imageref.DockerHub, Username: value(d.Organization), DockerHubConnection: value(d.Connection)}
		c := j.choose(j.resolver(item), imageref.DockerHub, "acme/app")
		old, err := c.Auth.Authorization()
		if err != nil {
			t.Fatal(err)
		}
		j.clock.Advance(want - time.Second)
		if err := j.push(authn.FromConfig(*old), imageref.DockerHub, "acme/app"); err != nil {
			t.Errorf("%q: a second before the end: %v", text, err)
		}
		j.clock.Advance(time.Second)
		if err := j.push(authn.FromConfig(*old), imageref.DockerHub, "acme/app"); err == nil {
			t.Errorf("%q: the token outlives %s", text, want)
		}
	}
	for _, text := range []string{"299", "3601", "an hour", "5m", "-1", "300.5"} {
		j := newJob(t)
		d := standins.NewDockerHub(t, j.net, j.github)
		j.set("DOCKERHUB_OIDC_EXPIREIN=" + text)
		item := credentials.Item{Line: 1, Registry: imageref.DockerHub, Username: value(d.Organization), DockerHubConnection: value(d.Connection)}
		_, err := j.choose(j.resolver(item), imageref.DockerHub, "acme/app").Auth.Authorization()
		if !usererror.Is(err, usererror.InvalidAuth) || !strings.Contains(err.Error(), "DOCKERHUB_OIDC_EXPIREIN is not a number from 300 to 3600") {
			t.Errorf("%q: %v", text, err)
		}
		if len(j.github.Issued()) > 0 {
			t.Errorf("%q: a token was asked for all the same", text)
		}
	}
}
