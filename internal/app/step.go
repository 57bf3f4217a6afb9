package app

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/multi-registry-push/multi-registry-push/internal/actions"
	"github.com/multi-registry-push/multi-registry-push/internal/blobcache"
	"github.com/multi-registry-push/multi-registry-push/internal/config"
	"github.com/multi-registry-push/multi-registry-push/internal/credentials"
	"github.com/multi-registry-push/multi-registry-push/internal/imageref"
	"github.com/multi-registry-push/multi-registry-push/internal/publish"
	"github.com/multi-registry-push/multi-registry-push/internal/registry"
	"github.com/multi-registry-push/multi-registry-push/internal/report"
	"github.com/multi-registry-push/multi-registry-push/internal/source"
)

// step is one run of the program: the inputs, understood, and everything that is made
// from them and the environment.
type step struct {
	env       Env
	vars      map[string]string
	set       *config.Settings
	out       *console
	paths     source.Paths
	untrusted bool
	json      bool // results go to standard output
	resolver  *credentials.Resolver
	roots     *x509.CertPool // nil: the system's
	warnings  []string       // to be said when the run starts
	now       func() time.Time

	record  *report.Record
	printer *report.Printer
	saying  sync.Mutex // events come from several packages; each is told whole
}

func newStep(env Env, vars map[string]string, job actions.Job, paths source.Paths, out *console, set *config.Settings) *step {
	s := &step{env: env, vars: vars, set: set, out: out, paths: paths, untrusted: job.Untrusted, now: nowOr(env.Now)}
	s.record = report.NewRecord(s.now)
	s.printer = report.NewPrinter(s.record, out.print, report.PrinterOptions{Width: env.Width, Progress: !env.Terminal, Fold: out.workflow})
	s.loadRoots()
	s.checkProxies()

	var transport http.RoundTripper = env.Transport
	if transport == nil && s.roots != nil {
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.TLSClientConfig = &tls.Config{RootCAs: s.roots, MinVersion: tls.VersionTLS12}
		transport = t
	}
	resolver, warnings := credentials.NewResolver(credentials.Options{
		Items:       set.Items,
		GitHubToken: set.GitHubToken,
		Job:         s.credentialsJob(job, transport),
		Untrusted:   s.untrusted,
		Redactor:    out.redactor,
		Getenv:      s.getenv,
		MapPath:     s.paths.Map,
		Transport:   transport,
		Clock:       env.Clock,
	})
	s.resolver = resolver
	for _, w := range warnings {
		s.warnings = append(s.warnings, w.String())
	}
	return s
}

// credentialsJob returns what credentials are told of the job.
func (s *step) credentialsJob(job actions.Job, transport http.RoundTripper) credentials.Job {
	j := credentials.Job{
		ServerURL: job.ServerURL, Forge: job.Gitea, Actor: job.Actor,
		Repository: job.Repository, RepositoryID: job.RepositoryID, OwnerID: job.OwnerID, RunID: job.RunID,
		InContainer: s.paths.Container,
	}
	if job.IDToken {
		j.IDToken = s.out.runner.WithClient(credentials.NewClient(transport, s.env.Clock, 0)).IDToken
	}
	return j
}

// loadRoots adds the authorities in SSL_CERT_FILE to the system's.
func (s *step) loadRoots() {
	name := s.vars["SSL_CERT_FILE"]
	if name == "" {
		return
	}
	pem, err := os.ReadFile(s.paths.Map(name))
	pool, _ := x509.SystemCertPool()
	if pool == nil {
		pool = x509.NewCertPool()
	}
	if err == nil && !pool.AppendCertsFromPEM(pem) {
		err = errors.New("there is no certificate in it")
	}
	if err != nil {
		s.warnings = append(s.warnings, fmt.Sprintf("SSL_CERT_FILE, %s, is left aside: %v", name, err))
		return
	}
	s.roots = pool
}

// checkProxies says which proxies net/http leaves aside without a word. A password with a
// sign that has a meaning in addresses makes them so; the address is not repeated.
func (s *step) checkProxies() {
	for _, name := range []string{"HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"} {
		address := s.vars[name]
		if !strings.Contains(address, "://") {
			address = "http://" + address
		}
		if _, err := url.Parse(address); err != nil {
			s.warnings = append(s.warnings, name+" is not an address, so that it names no proxy: in its password, write % as %25, / as %2F and a space as %20")
			return // the other spelling most likely holds the same
		}
	}
}

// request makes the request, all but its source.
func (s *step) request() publish.Request {
	var destinations []publish.Destination
	for _, d := range s.set.Images[0].Destinations {
		destinations = append(destinations, publish.Destination{Reference: d.Reference, Line: d.Line})
	}
	var unconfigured []publish.Unconfigured
	for _, u := range s.set.Skipped {
		unconfigured = append(unconfigured, publish.Unconfigured{Input: u.Input, Line: u.Line, Text: u.Text, Reason: u.Reason})
	}
	return publish.Request{
		Destinations:     destinations,
		Unconfigured:     unconfigured,
		Choose:           s.resolver.For,
		Connect:          s.connect,
		FailOnMissing:    s.set.FailOnMissing,
		Atomic:           s.set.Atomic,
		ImmutableTags:    s.set.ImmutableTags,
		Referrers:        s.set.Referrers,
		CreateRepository: s.set.CreateRepository,
		CreateImmutable:  s.set.CreateImmutable,
		Concurrency:      s.set.Concurrency,
		DryRun:           s.set.DryRun,
		Untrusted:        s.untrusted,
		LoginGrace:       s.env.LoginGrace,
		VerifyPauses:     s.env.VerifyPauses,
		Now:              s.now,
	}
}

// open puts the source into the request.
func (s *step) open(q *publish.Request, spec source.Spec) {
	q.SourceRepository = spec.Repository()
	q.Open = func(ctx context.Context, repository func(imageref.Repository) source.RemoteRepository) (*source.Image, error) {
		return source.Open(ctx, spec, s.sourceOptions(repository))
	}
	q.Spool = func() (*blobcache.Spool, error) {
		return blobcache.New(blobcache.Options{Dir: s.temp(), Retryable: registry.Retryable, RetryBudget: s.env.RetryBudget, Clock: s.env.Clock, Notify: func(n blobcache.Notice) {
			s.emit(report.Notice{At: s.at(), Text: n.Text})
		}})
	}
}

func (s *step) sourceOptions(repository func(imageref.Repository) source.RemoteRepository) source.Options {
	return source.Options{
		Platforms:  s.set.Images[0].Platforms,
		Repository: repository,
		Paths:      s.paths,
		TempDir:    s.temp(),
		Docker:     source.NewDocker(s.getenv, s.paths),
	}
}

// temp is the folder of temporary files: the only place that is written to.
func (s *step) temp() string { return cmp.Or(s.vars["TMPDIR"], "/tmp") }

func (s *step) getenv(name string) string { return s.vars[name] }

// connect makes the client of one host.
func (s *step) connect(host string, insecure bool, account func(repository string) credentials.Credential) publish.Host {
	return publish.HostOf(registry.New(registry.Options{
		Host:        host,
		Insecure:    insecure,
		Auth:        func(repository string) authn.Authenticator { return account(repository).Auth },
		Redactor:    s.out.redactor,
		Concurrency: s.set.Concurrency,
		Stall:       s.env.Stall,
		RetryBudget: s.env.RetryBudget,
		Clock:       s.env.Clock,
		Roots:       s.roots,
		InContainer: s.paths.Container,
		UserAgent:   "multi-registry-push/" + cmp.Or(s.env.Version, "devel"),
		Base:        s.env.Transport,
		Notify: func(n registry.Notice) {
			if n.Routine {
				s.emit(report.Debug{At: s.at(), Registry: n.Registry, Text: n.Text})
			} else {
				s.emit(report.Notice{At: s.at(), Warning: n.Warning, Registry: n.Registry, Text: n.Text})
			}
		},
	}))
}

// emit folds an event into the record and shows it. Secrets are taken out before: the
// record ends up in files whose escapes would hide them from a later look.
func (s *step) emit(e report.Event) {
	e = redacted(e, s.out.redactor.Redact)
	s.saying.Lock()
	defer s.saying.Unlock()
	s.record.Apply(e)
	s.printer.Print(e)
}

// userInfo returns the user name and password in an address, empty where it has
// none, and the password as it is written there. The scheme may be missing. An address that
// is no URL is looked through all the same: the error that says so repeats it.
func userInfo(address string) (user, password, written string) {
	if scheme, rest, ok := strings.Cut(address, "://"); ok && !strings.ContainsAny(scheme, ":@") {
		address = rest
	}
	at := strings.LastIndexByte(address, '@')
	if at < 0 {
		return "", "", ""
	}
	user, written, _ = strings.Cut(address[:at], ":")
	password = written
	if decoded, err := url.PathUnescape(user); err == nil {
		user = decoded
	}
	if decoded, err := url.PathUnescape(written); err == nil {
		password = decoded
	}
	return user, password, written
}
