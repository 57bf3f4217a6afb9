package actions

import (
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"time"

	"github.com/sethvargo/go-githubactions"

	"github.com/multi-registry-push/multi-registry-push/internal/redact"
)

// Options says where a runner is found.
type Options struct {
	// Environ holds the environment, NAME=value. Of a name that is there twice the last
	// wins.
	Environ []string
	// Writer takes workflow commands, each in one call. It must be safe for concurrent use.
	Writer io.Writer
	// Clean makes outside text fit for the log: without secrets and control characters.
	Clean func(text string) string
	// Line does the same for a line of the log, whose outside text is clean already; nil
	// means Clean.
	Line func(line string) string
	// Learn is given the job's OIDC token before it is returned.
	Learn func(user string, s redact.Text)
	// MapPath turns a path of the runner's host into the one that is seen here; nil means
	// that both are the same.
	MapPath func(path string) string
}

// Runner is what started the program, GitHub's runner or a shell. It is safe for
// concurrent use.
type Runner struct {
	action *githubactions.Action
	o      Options
	vars   map[string]string
}

// New returns the runner of an environment.
func New(o Options) *Runner {
	if o.Writer == nil {
		o.Writer = io.Discard
	}
	if o.Clean == nil {
		o.Clean = func(text string) string { return text }
	}
	if o.Line == nil {
		o.Line = o.Clean
	}
	if o.Learn == nil {
		o.Learn = func(string, redact.Text) {}
	}
	if o.MapPath == nil {
		o.MapPath = func(path string) string { return path }
	}
	r := &Runner{o: o, vars: Variables(o.Environ)}
	return r.WithClient(&http.Client{Timeout: 10 * time.Second})
}

// WithClient returns the same runner, which asks for the job's OIDC token through client.
// That should repeat what may pass, bound what it reads and call nothing but HTTPS;
// redirects are not followed whatever it says.
func (r *Runner) WithClient(client *http.Client) *Runner {
	own := *client
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	with := &Runner{o: r.o, vars: r.vars}
	with.action = githubactions.New(githubactions.WithWriter(r.o.Writer), githubactions.WithGetenv(with.getenv),
		githubactions.WithHTTPClient(&own))
	return with
}

// Variables returns an environment by name.
func Variables(environ []string) map[string]string {
	vars := make(map[string]string, len(environ))
	for _, entry := range environ {
		if name, value, ok := strings.Cut(entry, "="); ok && name != "" {
			vars[name] = value
		}
	}
	return vars
}

// getenv is how the library sees the environment: files are named as they are seen here.
func (r *Runner) getenv(name string) string {
	value := r.vars[name]
	switch name {
	case outputFile, summaryFile, eventFile:
		if value != "" {
			return r.o.MapPath(value)
		}
	}
	return value
}

// guarded returns what the library panics with where it cannot write.
func guarded(do func()) (err error) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case runtime.Error:
			panic(p)
		case error:
			err = p
		default:
			panic(fmt.Sprint(p))
		}
	}()
	do()
	return nil
}
