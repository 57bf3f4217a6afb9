// Command multi-registry-push publishes one built image to every registry
// that the workflow has credentials for.
package main

import (
	"context"
	_ "embed"
	"io"
	"log"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"github.com/multi-registry-push/multi-registry-push/internal/app"
)

// definition names, describes and gives defaults to every input, once.
//
//go:embed action.yml
var definition []byte

func main() {
	noCore()
	stderr := quiet()
	// A reader of the log that goes away, as head does, is no reason to stop between two tags:
	// writes to it fail, and that is all.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	environ := os.Environ()
	// What it names is added to the built-in roots by the program; left in place it
	// would replace them (crypto/x509).
	_ = os.Unsetenv("SSL_CERT_FILE")
	version, commit := buildVersion()
	status := app.Main(ctx, app.Env{
		Args:       os.Args[1:],
		Environ:    environ,
		Stdin:      os.Stdin,
		Stdout:     os.Stdout,
		Stderr:     stderr,
		Definition: definition,
		Version:    version,
		Commit:     commit,
		GoVersion:  runtime.Version(),
		Terminal:   columns(os.Stdout) > 0,
		Width:      func() int { return columns(os.Stdout) },

		StdinTerminal: columns(os.Stdin) > 0,
	})
	stop()
	os.Exit(status)
}

// quiet returns standard error, and takes it away from everybody else: what libraries
// print on their own is neither redacted nor escaped. net/http logs what a server sends
// unasked, and the AWS SDK hands a credential process our standard error.
func quiet() *os.File {
	stderr := os.Stderr
	log.SetOutput(io.Discard)
	if null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0); err == nil {
		os.Stderr = null
	}
	return stderr
}
