package app

import (
	"cmp"
	"context"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multi-registry-push/multi-registry-push/internal/actions"
	"github.com/multi-registry-push/multi-registry-push/internal/blobcache"
	"github.com/multi-registry-push/multi-registry-push/internal/config"
	"github.com/multi-registry-push/multi-registry-push/internal/credentials"
	"github.com/multi-registry-push/multi-registry-push/internal/imageref"
	"github.com/multi-registry-push/multi-registry-push/internal/publish"
	"github.com/multi-registry-push/multi-registry-push/internal/redact"
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
	roots     func() *x509.CertPool // returns nil for the system's
	warnings  []string              // to be said when the run starts
	unused    []config.UnusedItem
	now       func() time.Time
	log       *report.Log
	budget    source.Budget // of the documents of all images
	shared    source.Shared // what several of them are made from

	notesMu sync.Mutex
	notes   []publish.Note // of what runs beside the plan: clients, the cache
}

func newStep(env Env, vars map[string]string, job actions.Job, paths source.Paths, out *console,
	set *config.Settings) *step {
	s := &step{env: env, vars: vars, set: set, out: out, paths: paths, untrusted: job.Untrusted, now: nowOr(env.Now)}
	s.log = report.NewLog(out.print, report.LogOptions{
		Width: s.width, Progress: !env.Terminal, Workflow: out.workflow, Quiet: out.quiet,
		Verbose: out.debug && !out.workflow, Now: s.now,
	})
	s.readRoots()
	s.checkProxies()

	transport := sync.OnceValue(s.exchangeTransport)
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
func (s *step) credentialsJob(job actions.Job, transport func() http.RoundTripper) credentials.Job {
	j := credentials.Job{
		ServerURL: job.ServerURL, Forge: job.Gitea, Actor: job.Actor,
		Repository: job.Repository, RepositoryID: job.RepositoryID, OwnerID: job.OwnerID, RunID: job.RunID,
		CommandLine: !job.Workflow,
		InContainer: s.paths.Container || s.vars["HOME"] == "/github/home", // where the runner mounts it
	}
	if job.IDToken {
		j.IDToken = s.out.runner.WithClient(credentials.NewClient(transport, s.env.Clock, 0)).IDToken
	}
	return j
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
			s.warnings = append(s.warnings,
				name+" is not an address, so that it names no proxy: in its password, write % as %25, / as %2F and a "+
					"space as %20")
			return // the other spelling most likely holds the same
		}
	}
}

// deps are what a run works with.
func (s *step) deps(plan publish.Plan) publish.Deps {
	bodies, start := registry.NewBodies(len(plan.Registries)), s.now()
	return publish.Deps{
		Connect: func(host string, insecure bool, account func(repository string) credentials.Credential) publish.Host {
			o := s.client(host, insecure, account)
			o.Bodies = bodies
			o.Trace = func(t registry.Trace) {
				s.log.Request(string(s.clean(requestText(t))), t.Start.Sub(start), t.Duration)
			}
			return publish.HostOf(registry.New(o))
		},
		Open: func(ctx context.Context, one publish.Image, repository func(imageref.Repository) source.RemoteRepository,
			found func([]v1.Descriptor)) (*source.Image, error) {
			o := s.sourceOptions(one, repository)
			o.Found = found
			if one.Merge {
				return source.OpenMerged(ctx, one.Parts, o)
			}
			return source.Open(ctx, one.Parts[0], o)
		},
		Cache: func() (*blobcache.Cache, error) {
			return blobcache.New(blobcache.Options{
				Dir: s.temp(), Retryable: registry.Retryable, RetryBudget: s.env.RetryBudget, Clock: s.env.Clock,
				Notify: func(n blobcache.Notice) { s.note(publish.Note{}, n.Text) },
			})
		},
		Clean: s.clean, Now: s.now, VerifyPauses: s.env.VerifyPauses, RollBackTime: s.env.Grace,
	}
}

func (s *step) sourceOptions(one publish.Image,
	repository func(imageref.Repository) source.RemoteRepository) source.Options {
	o := source.Options{
		Platforms:  one.Platforms,
		Repository: repository,
		Paths:      s.paths,
		TempDir:    s.temp(),
		Docker:     source.NewDocker(s.getenv, s.paths),
		Budget:     &s.budget,
		Shared:     &s.shared,
	}
	if one.Merge {
		for _, a := range s.set.Annotations {
			if o.Annotations == nil {
				o.Annotations = map[string]string{}
			}
			o.Annotations[a.Key] = a.Value
		}
	}
	return o
}

// temp is the folder of temporary files: the only place that is written to.
func (s *step) temp() string { return cmp.Or(s.vars["TMPDIR"], "/tmp") }

func (s *step) getenv(name string) string { return s.vars[name] }

// requestText says what was asked for and what came of it.
func requestText(t registry.Trace) string {
	came := strconv.Itoa(t.Status)
	if t.Status == 0 {
		came = "no answer"
	}
	return fmt.Sprintf("%s  %s %s: %s", t.Host, t.Method, t.Kind, came)
}

// connect makes the client of one host.
func (s *step) connect(host string, insecure bool,
	account func(repository string) credentials.Credential) publish.Host {
	return publish.HostOf(registry.New(s.client(host, insecure, account)))
}

// client returns the options of the client of one host.
func (s *step) client(host string, insecure bool,
	account func(repository string) credentials.Credential) registry.Options {
	return registry.Options{
		Host:     host,
		Insecure: insecure,
		Auth: func(repository string) authn.Authenticator {
			if a := account(repository).Auth; a != nil {
				return a
			}
			return authn.Anonymous
		},
		Redactor:    s.out.redactor,
		Concurrency: s.set.Concurrency,
		Stall:       s.env.Stall,
		RetryBudget: s.env.RetryBudget,
		GivingUp:    s.env.Grace,
		Clock:       s.env.Clock,
		Roots:       s.roots,
		InContainer: s.paths.Container,
		UserAgent:   "multi-registry-push/" + cmp.Or(s.env.Version, "devel"),
		Base:        s.env.Transport,
		Notify: func(n registry.Notice) {
			s.note(publish.Note{Host: n.Registry, Warning: n.Warning, Debug: n.Routine,
				Retry: !n.Warning && !n.Routine}, n.Text)
		},
	}
}

// note tells the log of something that comes up beside the plan, and keeps it for the
// result.
func (s *step) note(n publish.Note, text string) {
	n.At, n.Text = s.now(), s.clean(text)
	s.notesMu.Lock()
	s.notes = append(s.notes, n)
	s.notesMu.Unlock()
	s.log.Note(n)
}

// clean takes the secrets out of a text from outside, and puts it into one line: no registry
// can write lines of the log that look like ours.
func (s *step) clean(text string) redact.Redacted {
	text = string(s.out.redactor.Clean(text))
	if strings.ContainsAny(text, "\r\n") {
		text = strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r == '\r' || r == '\n' }), " ")
	}
	return redact.Redacted(text).Cut(longestFreeText)
}

// longestFreeText bounds one free text, in characters, when its secrets are out.
const longestFreeText = 4000

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
