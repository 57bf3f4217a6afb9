// Command multi-registry-push publishes one built image to every registry
// that the workflow has credentials for.
package main

import (
	"context"
	_ "embed"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"github.com/multi-registry-push/multi-registry-push/internal/action"
)

// definition names, describes and gives defaults to every input, once.
//
//go:embed action.yml
var definition []byte

func main() {
	noCore()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	environ := os.Environ()
	// What it names is added to the built-in roots by the program; left in place it
	// would replace them (crypto/x509).
	_ = os.Unsetenv("SSL_CERT_FILE")
	version, commit := buildVersion()
	width := columns(os.Stdout)
	status := action.Main(ctx, action.Env{
		Args:       os.Args[1:],
		Environ:    environ,
		Stdin:      os.Stdin,
		Stdout:     os.Stdout,
		Stderr:     os.Stderr,
		Definition: definition,
		Version:    version,
		Commit:     commit,
		GoVersion:  runtime.Version(),
		Terminal:   width > 0,
		Width:      width,
	})
	stop()
	os.Exit(status)
}
