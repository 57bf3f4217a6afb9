package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// builtLayers is how many layers a build for the contest with BuildKit has.
const builtLayers = 12

// buildWork is a build that is published to four registries, by BuildKit itself or by us.
type buildWork struct {
	name string
	at   distance
	size int // of a layer
}

func buildWorks() []buildWork {
	return []buildWork{
		{"build of 12 × 20 KB → 4, 100 ms", distance{Trip: 100 * time.Millisecond}, 20 << 10},
		{"build of 12 × 5 MB → 4, 50 ms, 25 MB/s a connection", distance{Trip: 50 * time.Millisecond, Each: 25_000_000, Old: true}, 5_000_000},
	}
}

// builder is a BuildKit daemon inside a stage's network.
type builder struct {
	*farStage
	folder string
	socket string
	cmd    *exec.Cmd
}

// startBuilder starts a daemon and waits until it answers.
func (f *farStage) startBuilder(ctx context.Context, dir string) (*builder, error) {
	u := &builder{farStage: f, folder: dir, socket: "unix://" + filepath.Join(dir, "buildkitd.sock")}
	args := f.network.wrap([]string{f.tools.buildkitd, "--root", filepath.Join(dir, "state"), "--addr", u.socket,
		"--oci-worker-snapshotter", "native", "--oci-worker-net", "host", "--containerd-worker", "false"})
	u.cmd = exec.CommandContext(ctx, args[0], args[1:]...)
	u.cmd.Cancel = func() error { return u.cmd.Process.Signal(syscall.SIGTERM) }
	u.cmd.Env = append(environment(), f.env...)
	if err := u.cmd.Start(); err != nil {
		return nil, err
	}
	for range 100 {
		if _, err := f.network.run(ctx, u.control("debug", "workers")); err == nil {
			return u, nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	u.stop()
	return nil, fmt.Errorf("buildkitd did not start in %s", dir)
}

func (u *builder) stop() {
	_ = u.cmd.Process.Signal(syscall.SIGTERM)
	_ = u.cmd.Wait()
}

func (u *builder) control(args ...string) process {
	return process{Env: u.env, Args: append([]string{u.tools.buildctl, "--addr", u.socket}, args...)}
}

// build builds, which is done already, and exports.
func (u *builder) build(outputs ...string) process {
	args := []string{"build", "--progress", "plain", "--frontend", "dockerfile.v0", "--local", "context=" + u.folder, "--local", "dockerfile=" + u.folder}
	for _, o := range outputs {
		args = append(args, "--output", o)
	}
	return u.control(args...)
}

// ways are all ways to get the build into all registries.
func (u *builder) ways() []way {
	var each, names []string
	for _, h := range u.hosts() {
		names = append(names, reference(h))
		each = append(each, "type=image,push=true,name="+reference(h))
	}
	archive := filepath.Join(u.folder, "built.tar")
	return []way{
		{us, []process{u.build("type=oci,dest=" + archive), u.ours("oci-archive:" + archive)}},
		{"BuildKit, 4 outputs", []process{u.build(each...)}},
		{"BuildKit, 1 output with 4 names", []process{u.build(fmt.Sprintf(`type=image,push=true,"name=%s"`, strings.Join(names, ",")))}},
	}
}

// source writes a Dockerfile and what it copies.
func (u *builder) source(size int) error {
	text := "FROM scratch\n"
	random := rand.NewChaCha8([32]byte{})
	for i := range builtLayers {
		content := make([]byte, size)
		_, _ = random.Read(content) // never fails
		name := fmt.Sprint("file", i)
		if err := os.WriteFile(filepath.Join(u.folder, name), content, 0o644); err != nil {
			return err
		}
		text += "COPY " + name + " /\n"
	}
	return os.WriteFile(filepath.Join(u.folder, "Dockerfile"), []byte(text), 0o644)
}

// buildkit lets BuildKit push a build that is done, and us what it exports into an archive.
func (b *bench) buildkit(ctx context.Context, w buildWork) error {
	if b.tools.buildkitd == "" {
		say("no BuildKit could be built: left out")
		return nil
	}
	f, end, err := b.startFar(ctx, w.at, 4)
	if err != nil || f == nil {
		return err
	}
	defer end()
	dir, err := os.MkdirTemp(b.folder, "build-")
	if err != nil {
		return err
	}
	u, err := f.startBuilder(ctx, dir)
	if err != nil {
		return err
	}
	defer u.stop()
	if err := u.source(w.size); err != nil {
		return err
	}
	if _, err := f.network.run(ctx, u.build("type=oci,dest="+filepath.Join(dir, "built.tar"))); err != nil {
		return err
	}
	var all []contender
	for _, way := range u.ways() {
		all = append(all, contender{who: way.who, do: func(ctx context.Context) (cost, error) { return f.network.serial(ctx, way.all) }})
	}
	lines, err := b.contest(ctx, w.name, f.stage, 0, int64(builtLayers*w.size), all)
	if err != nil {
		return err
	}
	for _, l := range lines {
		l.Trip = w.at.Trip
	}
	ours, best := lines[0].seconds(), lines[1].seconds()
	b.goal(w.name, "archive and publish together at most 1.3 × BuildKit's best", ours <= 1.3*best, "%.2f s; %s %.2f s: %.2f × of it",
		ours, lines[1].Who, best, ours/best)
	return nil
}
