package config

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/multi-registry-push/multi-registry-push/internal/suggest"
	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

// largestSecretFile bounds what @FILE and standard input may hold, in bytes.
const largestSecretFile = 1 << 20

// secretReader reads the values of flags that hold secrets.
type secretReader struct {
	stdin   io.Reader
	waiting func(input string)
	taken   string // the input that has read stdin
}

// read returns what a flag stands for: @FILE, or - for standard input, which it waits for
// until ctx is done. An error repeats the value only where it names a file.
func (r *secretReader) read(ctx context.Context, input, value string) (string, error) {
	invalid := func(what, remedy string) (string, error) {
		return "", usererror.New(usererror.InvalidInput, "", fmt.Sprintf("--%s: %s", input, what), remedy, nil)
	}
	name, file := strings.CutPrefix(value, "@")
	switch {
	case value == "":
		return "", nil
	case value == "-" && r.taken != "":
		return invalid(fmt.Sprintf("standard input is taken by --%s already", r.taken), "Use @FILE for one of them.")
	case value == "-":
		r.taken = input
		text, err := r.standardInput(ctx, input)
		if err != nil {
			return invalid(err.Error(), "Write @FILE, or give it on standard input.")
		}
		return text, nil
	case file && name != "":
		text, err := readFile(name)
		switch near := nearFile(name); {
		case errors.Is(err, fs.ErrNotExist) && near != "":
			return invalid(err.Error(), "Did you mean @"+near+"?")
		case err != nil:
			return invalid(err.Error(), "Write @FILE, or - for standard input.")
		}
		return text, nil
	}
	const what = "a secret is not an argument: other users of the machine see those"
	if info, err := os.Stat(value); err == nil && info.Mode().IsRegular() {
		return invalid(what, "This is a file: write --"+input+" @"+short(value))
	}
	if near := nearFile(value); near != "" {
		return invalid(what, "If it is the name of a file, did you mean @"+near+"?")
	}
	return invalid(what, "Write @FILE, or - for standard input.")
}

func (r *secretReader) standardInput(ctx context.Context, input string) (string, error) {
	if r.stdin == nil {
		return "", errors.New("there is no standard input")
	}
	if r.waiting != nil {
		r.waiting(input)
	}
	return ReadUntil(ctx, r.stdin, largestSecretFile)
}

func readFile(name string) (string, error) {
	f, err := os.Open(name) // #nosec G304 -- whoever runs the program names it
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	return readBounded(f, largestSecretFile)
}

// mostFiles bounds the search for a file that was meant.
const mostFiles = 1000

// nearFile returns the file beside one that is not there which was most likely meant, "" if
// there is none.
func nearFile(name string) string {
	dir, base := filepath.Split(name)
	if base == "" || len(name) > 4096 {
		return ""
	}
	open, err := os.Open(cmp.Or(dir, "."))
	if err != nil {
		return ""
	}
	defer func() { _ = open.Close() }()
	entries, _ := open.ReadDir(mostFiles)
	var files []string
	for _, e := range entries {
		if e.Type().IsRegular() {
			files = append(files, e.Name())
		}
	}
	slices.Sort(files)
	if near := suggest.Nearest(base, files); near != "" {
		return dir + near
	}
	return ""
}

// ReadUntil reads r to its end, at most some bytes, or until ctx is done. A read cannot be interrupted: what
// waits for one then stays behind, and ends with the program at the latest.
func ReadUntil(ctx context.Context, r io.Reader, most int) (string, error) {
	type answer struct {
		text string
		err  error
	}
	read := make(chan answer, 1)
	go func() {
		text, err := readBounded(r, most)
		read <- answer{text, err}
	}()
	select {
	case a := <-read:
		return a.text, a.err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

func readBounded(r io.Reader, most int) (string, error) {
	text, err := io.ReadAll(io.LimitReader(r, int64(most)+1))
	if err != nil {
		return "", err
	}
	if len(text) > most {
		return "", fmt.Errorf("there is more than %d KiB", most>>10)
	}
	return string(text), nil
}
