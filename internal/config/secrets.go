package config

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

// largestSecretFile bounds what @FILE and standard input may hold, in bytes.
const largestSecretFile = 1 << 20

// secretReader reads the values of flags that hold secrets.
type secretReader struct {
	stdin io.Reader
	taken string // the input that has read stdin
}

// read returns what a flag stands for: @FILE, or - for standard input, which it waits for
// until ctx is done.
func (r *secretReader) read(ctx context.Context, input, value string) (string, error) {
	if value == "-" {
		if r.taken != "" {
			return "", usererror.New(usererror.InvalidInput, "",
				fmt.Sprintf("--%s: standard input is taken by --%s already", input, r.taken), "Use @FILE for one of them.", nil)
		}
		r.taken = input
	}
	text, err := r.text(ctx, value)
	if err != nil {
		return "", usererror.New(usererror.InvalidInput, "", fmt.Sprintf("--%s: %v", input, err), "Write @FILE, or - for standard input.", nil)
	}
	return text, nil
}

func (r *secretReader) text(ctx context.Context, value string) (string, error) {
	switch {
	case value == "-" && r.stdin == nil:
		return "", errors.New("there is no standard input")
	case value == "-":
		return readUntil(ctx, r.stdin)
	case strings.HasPrefix(value, "@") && len(value) > 1:
		f, err := os.Open(value[1:])
		if err != nil {
			return "", err
		}
		defer func() { _ = f.Close() }()
		return readBounded(f)
	case value == "":
		return "", nil
	}
	return "", errors.New("a secret is not an argument: other users of the machine see those")
}

// readUntil reads r to its end, or until ctx is done. A read cannot be interrupted: what
// waits for one then stays behind, and ends with the program at the latest.
func readUntil(ctx context.Context, r io.Reader) (string, error) {
	type answer struct {
		text string
		err  error
	}
	read := make(chan answer, 1)
	go func() {
		text, err := readBounded(r)
		read <- answer{text, err}
	}()
	select {
	case a := <-read:
		return a.text, a.err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

func readBounded(r io.Reader) (string, error) {
	text, err := io.ReadAll(io.LimitReader(r, largestSecretFile+1))
	if err != nil {
		return "", err
	}
	if len(text) > largestSecretFile {
		return "", fmt.Errorf("there is more than %d KiB", largestSecretFile>>10)
	}
	return string(text), nil
}
