// Command demo shows the main job on one machine, with Go alone: it makes an image of this
// program, starts three registries behind passwords and slow links, runs the program against
// them and a fourth whose credentials are unset, pulls the image back from each and compares
// digests. It is run in the root of the repository, with the built program's name as argument:
// `make demo` does.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := errors.New("usage: demo PROGRAM")
	if len(os.Args) == 2 {
		err = run(ctx, os.Stdout, os.Args[1])
	}
	stop()
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer, program string) (err error) {
	say := func(format string, args ...any) { _, _ = fmt.Fprintf(out, "\n### "+format+"\n", args...) }
	dir, err := os.MkdirTemp("", "multi-registry-push-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()

	say("1. Put this program into an image, in an OCI archive, as BuildKit writes one")
	if program, err = filepath.Abs(program); err != nil {
		return err
	}
	binary, err := forLinux(ctx, dir, program)
	if err != nil {
		return err
	}
	archive := filepath.Join(dir, "image.tar")
	digest, err := writeArchive(archive, binary, "linux", runtime.GOARCH)
	if err != nil {
		return err
	}
	info, err := os.Stat(archive)
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(out, "image.tar: %.1f MB, %s\n", float64(info.Size())/1e6, digest)

	say("2. Start three registries, each behind a password of its own and a link of 16 Mbit/s")
	var registries []*server
	for _, name := range []string{"one", "two", "three"} {
		s, err := startRegistry(name)
		if err != nil {
			return err
		}
		defer s.stop()
		registries = append(registries, s)
		_, _ = fmt.Fprintln(out, s.host)
	}

	say("3. Publish: this is the step")
	const unset = "docker.io"
	inputs := map[string]string{
		"source": "./image.tar", "tags": tags(registries, unset), "registry-auth": items(registries, unset),
	}
	showStep(out, registries, unset)
	say("   and this is its log")
	summary, err := publish(ctx, out, dir, program, inputs)
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(out, "\nThe summary, as the job's page would show it: %s\n", summary)

	say("4. Pull the image back from each registry, every blob, and compare")
	for _, s := range registries {
		for _, tag := range []string{"1.0.0", "latest"} {
			got, blobs, bytes, err := s.pull(ctx, tag)
			if err != nil {
				return err
			}
			if got != digest {
				return fmt.Errorf("%s serves %s, the archive holds %s", s.image(tag), got, digest)
			}
			_, _ = fmt.Fprintf(out, "%s  %s  the same; %d blobs, %.1f MB\n",
				s.image(tag), got, blobs, float64(bytes)/1e6)
		}
	}
	say("Done: one image, three registries, one digest; %s was skipped.", unset)
	return nil
}

// forLinux returns the program built for Linux on this machine's processor: as it is there,
// or, on another system, built for the image.
func forLinux(ctx context.Context, dir, program string) (string, error) {
	if runtime.GOOS == "linux" {
		return program, nil
	}
	binary := filepath.Join(dir, "linux")
	// #nosec G204 -- the arguments are this program's own
	c := exec.CommandContext(ctx, "go", "build", "-gcflags", "all=-N -l", "-ldflags", "-s -w", "-o", binary, ".")
	c.Env = append(os.Environ(), "GOOS=linux", "CGO_ENABLED=0")
	if text, err := c.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building for linux: %w\n%s", err, text)
	}
	return binary, nil
}

// publish runs the built program as a process of its own, as a workflow would: inputs and
// files come in the environment. Workflow commands are off, since no runner reads along. It
// returns the path of the summary.
func publish(ctx context.Context, out io.Writer, dir, binary string,
	inputs map[string]string) (summary string, err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	if summary, err = filepath.Abs(filepath.Join("out", "demo-summary.md")); err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(summary), 0o750); err != nil {
		return "", err
	}
	if err := os.RemoveAll(summary); err != nil {
		return "", err
	}
	c := exec.CommandContext(ctx, binary)
	c.Dir = dir
	c.Env = []string{"HOME=" + dir, "TMPDIR=" + dir, "GITHUB_STEP_SUMMARY=" + summary}
	for name, value := range inputs {
		c.Env = append(c.Env, "INPUT_"+strings.ToUpper(name)+"="+value)
	}
	c.Stdout, c.Stderr = out, out
	if err := c.Run(); err != nil {
		return "", fmt.Errorf("publishing: %w", err)
	}
	return summary, nil
}
