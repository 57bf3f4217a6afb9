package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// Peers that are built, at pinned versions.
const (
	craneModule  = "github.com/google/go-containerregistry/cmd/crane@v0.22.1"
	regctlModule = "github.com/regclient/regclient/cmd/regctl@v0.11.7"
	// BuildKit is built as its own module: its go.mod excludes versions, which "go install" does not take.
	buildkitModule = "github.com/moby/buildkit@v0.26.2"
)

// tools are the programs that are measured. Those that are not installed are "".
type tools struct {
	dir                         string
	us                          string
	crane, regctl               string
	buildkitd, buildctl         string
	skopeo, docker, pigz, dockd string
	versions                    []string
}

// findTools builds what can be built, and looks for what cannot.
func findTools(ctx context.Context, dir string) (*tools, error) {
	t := &tools{dir: dir, us: filepath.Join(dir, "multi-registry-push"), crane: filepath.Join(dir, "crane"), regctl: filepath.Join(dir, "regctl")}
	build := func(name string, folder string, args ...string) error {
		cmd := exec.CommandContext(ctx, "go", args...)
		cmd.Dir = folder
		cmd.Env = append(os.Environ(), "GOBIN="+dir, "CGO_ENABLED=0", "GOFLAGS=-buildvcs=false")
		cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
		say("building %s", name)
		return cmd.Run()
	}
	if err := build("multi-registry-push", "..", "build", "-trimpath", "-ldflags", "-s -w", "-o", t.us, "."); err != nil {
		return nil, err
	}
	for path, module := range map[string]string{t.crane: craneModule, t.regctl: regctlModule} {
		if _, err := os.Stat(path); err == nil {
			continue
		}
		if err := build(module, os.TempDir(), "install", module); err != nil {
			return nil, err
		}
	}
	t.versions = append(t.versions, short(craneModule), short(regctlModule))
	if err := t.findBuildKit(ctx, build); err != nil {
		say("no BuildKit: %v", err)
	}
	look := func(name string, version ...string) string {
		path, err := exec.LookPath(name)
		if err != nil {
			return ""
		}
		if len(version) > 0 {
			out, _ := exec.CommandContext(ctx, path, version...).Output()
			t.versions = append(t.versions, strings.TrimSpace(strings.SplitN(string(out), "\n", 2)[0]))
		}
		return path
	}
	t.skopeo = look("skopeo", "--version")
	t.docker = look("docker", "--version")
	t.dockd = look("dockerd")
	t.pigz = look("pigz")
	return t, nil
}

// findBuildKit builds the daemon and its client. It runs on Linux alone.
func (t *tools) findBuildKit(ctx context.Context, build func(name, folder string, args ...string) error) error {
	daemon, control := filepath.Join(t.dir, "buildkitd"), filepath.Join(t.dir, "buildctl")
	_, missing := os.Stat(control)
	if runtime.GOOS != "linux" {
		return errors.ErrUnsupported
	}
	if missing != nil {
		cmd := exec.CommandContext(ctx, "go", "mod", "download", "-json", buildkitModule)
		cmd.Dir = os.TempDir()
		out, err := cmd.Output()
		if err != nil {
			return err
		}
		var module struct{ Dir string }
		if err := json.Unmarshal(out, &module); err != nil {
			return err
		}
		for path, command := range map[string]string{daemon: "./cmd/buildkitd", control: "./cmd/buildctl"} {
			if err := build(buildkitModule, module.Dir, "build", "-o", path, command); err != nil {
				return err
			}
		}
	}
	t.buildkitd, t.buildctl = daemon, control
	t.versions = append(t.versions, short(buildkitModule))
	return nil
}

func short(module string) string {
	path, version, _ := strings.Cut(module, "@")
	return filepath.Base(path) + " " + version
}

const (
	repository = "app"
	tag        = "1"
)

func reference(host string) string { return host + "/" + repository + ":" + tag }

// ours publishes source to hosts. extra are more inputs.
func (t *tools) ours(source string, hosts []string, output string, extra ...string) process {
	var tags, auth []string
	for _, h := range hosts {
		tags = append(tags, reference(h))
	}
	return t.oursTags(source, hosts, tags, auth, output, extra...)
}

func (t *tools) oursTags(source string, hosts, tags, auth []string, output string, extra ...string) process {
	for _, h := range hosts {
		auth = append(auth, "- registry: "+h+"\n  anonymous: true\n")
	}
	file := filepath.Join(t.dir, "registry-auth.yml")
	if err := os.WriteFile(file, []byte(strings.Join(auth, "")), 0o600); err != nil {
		panic(err)
	}
	args := append([]string{t.us, "--source", source, "--tags", strings.Join(tags, ","), "--registry-auth", "@" + file, "--summary", "false"}, extra...)
	return process{Args: args, Env: []string{"GITHUB_OUTPUT=" + output}}
}

// craneCopy copies to each of hosts, a process for each.
func (t *tools) craneCopy(source string, hosts []string) (all []process) {
	for _, h := range hosts {
		all = append(all, process{Args: []string{t.crane, "copy", "--insecure", reference(source), reference(h)}})
	}
	return all
}

func (t *tools) regctlCopy(source string, hosts []string) (all []process) {
	config := map[string]any{}
	for _, h := range append([]string{source}, hosts...) {
		config[h] = map[string]string{"tls": "disabled"}
	}
	raw, err := json.Marshal(map[string]any{"hosts": config})
	if err != nil {
		panic(err)
	}
	file := filepath.Join(t.dir, "regctl.json")
	if err := os.WriteFile(file, raw, 0o600); err != nil {
		panic(err)
	}
	for _, h := range hosts {
		all = append(all, process{Args: []string{t.regctl, "image", "copy", reference(source), reference(h)}, Env: []string{"REGCTL_CONFIG=" + file}})
	}
	return all
}

// skopeoCopy copies from source, a transport and a name, to each of hosts.
func (t *tools) skopeoCopy(source string, hosts []string, flags ...string) (all []process) {
	for _, h := range hosts {
		args := append([]string{t.skopeo, "--insecure-policy", "copy", "--quiet", "--src-tls-verify=false", "--dest-tls-verify=false"}, flags...)
		all = append(all, process{Args: append(args, source, "docker://"+reference(h))})
	}
	return all
}
