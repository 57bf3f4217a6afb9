// Command demo shows the main job on one machine, with Go alone: it builds a real
// two-platform image (of this program), starts three registries behind passwords, runs
// the program against them and a fourth whose credentials are unset, pulls the image back
// from each and compares digests.
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
	"sync"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Stdout)
	stop()
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer) (err error) {
	say := func(format string, args ...any) { _, _ = fmt.Fprintf(out, "\n### "+format+"\n", args...) }
	dir, err := os.MkdirTemp("", "multi-registry-push-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()

	say("1. Build this program for linux/amd64 and linux/arm64, and put both into one OCI archive")
	binaries, err := build(ctx, dir)
	if err != nil {
		return err
	}
	archive := filepath.Join(dir, "image.tar")
	digest, err := writeArchive(archive, binaries)
	if err != nil {
		return err
	}
	info, err := os.Stat(archive)
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(out, "image.tar: %.1f MB, %s\n", float64(info.Size())/1e6, digest)

	say("2. Start three registries, each behind a password of its own")
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
	inputs := map[string]string{"source": "./image.tar", "tags": tags(registries, unset), "registry-auth": items(registries, unset)}
	showStep(out, registries, unset)
	say("   and this is its log")
	summary, err := publish(ctx, out, dir, binaries[runtime.GOOS+"/"+runtime.GOARCH], inputs)
	if err != nil {
		return err
	}
	say("4. What the step adds to the job's summary")
	_, _ = io.WriteString(out, summary)

	say("5. Pull the image back from each registry, every blob, and compare")
	for _, s := range registries {
		for _, tag := range []string{"1.0.0", "latest"} {
			got, blobs, bytes, err := s.pull(ctx, tag)
			if err != nil {
				return err
			}
			if got != digest {
				return fmt.Errorf("%s serves %s, the archive holds %s", s.image(tag), got, digest)
			}
			_, _ = fmt.Fprintf(out, "%s  %s  the same; %d blobs, %.1f MB\n", s.image(tag), got, blobs, float64(bytes)/1e6)
		}
	}
	say("Done: one image, three registries, one digest; %s was skipped.", unset)
	return nil
}

// build compiles the program for the image's platforms, and for this machine if it is
// neither of them, all at once. It returns where the binaries are, by platform.
func build(ctx context.Context, dir string) (map[string]string, error) {
	binaries := map[string]string{}
	for _, platform := range []string{"linux/amd64", "linux/arm64", runtime.GOOS + "/" + runtime.GOARCH} {
		binaries[platform] = filepath.Join(dir, strings.ReplaceAll(platform, "/", "-"))
	}
	var wg sync.WaitGroup
	failures := make(chan error, len(binaries))
	for platform, binary := range binaries {
		wg.Go(func() {
			system, architecture, _ := strings.Cut(platform, "/")
			// #nosec G204 -- the arguments are this program's own
			c := exec.CommandContext(ctx, "go", "build", "-ldflags", "-s -w", "-o", binary, "github.com/multi-registry-push/multi-registry-push")
			c.Env = append(os.Environ(), "GOOS="+system, "GOARCH="+architecture, "CGO_ENABLED=0")
			if text, err := c.CombinedOutput(); err != nil {
				failures <- fmt.Errorf("building for %s: %w\n%s", platform, err, text)
			}
		})
	}
	wg.Wait()
	close(failures)
	return binaries, <-failures
}

// publish runs the built program as a process of its own, as a workflow would: inputs and
// files come in the environment. Workflow commands are off, since no runner reads along.
func publish(ctx context.Context, out io.Writer, dir, binary string, inputs map[string]string) (summary string, err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	summaryFile := filepath.Join(dir, "summary.md")
	c := exec.CommandContext(ctx, binary)
	c.Dir = dir
	c.Env = []string{"HOME=" + dir, "TMPDIR=" + dir, "GITHUB_STEP_SUMMARY=" + summaryFile}
	for name, value := range inputs {
		c.Env = append(c.Env, "INPUT_"+strings.ToUpper(name)+"="+value)
	}
	c.Stdout, c.Stderr = out, out
	if err := c.Run(); err != nil {
		return "", fmt.Errorf("publishing: %w", err)
	}
	text, err := os.ReadFile(summaryFile) // #nosec G304 -- in a folder of our own
	return string(text), err
}
