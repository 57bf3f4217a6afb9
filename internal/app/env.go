package app

import (
	"io"
	"net/http"
	"time"

	"github.com/multi-registry-push/multi-registry-push/internal/registry"
)

// Env is everything Main takes from the outside, so that tests can run the whole program
// in their own process.
type Env struct {
	Args    []string // without the program's name
	Environ []string // NAME=value, as os.Environ returns them
	Stdin   io.Reader
	Stdout  io.Writer
	Stderr  io.Writer

	Definition []byte // action.yml

	Version   string // "1.2.3", or "" for one built by hand
	Commit    string
	GoVersion string

	// Terminal says that Stdout is a terminal: progress is shown as live bars then.
	Terminal bool
	Width    func() int // of the terminal, in columns; nil, or 0, means 100
	// StdinTerminal says that Stdin is a terminal: whoever sits there is told when it is read.
	StdinTerminal bool

	Now   func() time.Time // nil: time.Now
	Clock registry.Clock   // for back-off and waits; nil: real
	// Stall and RetryBudget are registry.Options' of the same name; 0 means their defaults.
	Stall       time.Duration
	RetryBudget time.Duration
	// Grace is how long a cancelled job may put tags back, and give uploads up; 0 means 2.5 s and 2 s.
	Grace time.Duration
	// VerifyPauses are publish.Deps'; nil means its default.
	VerifyPauses []time.Duration
	// Transport replaces the transport that requests are sent with; tests only.
	Transport http.RoundTripper
}
