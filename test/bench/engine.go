package main

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const engineImage = "mrp-bench:1"

// engine is from a Docker engine to four registries.
func (b *bench) engine(ctx context.Context) error {
	t := b.tools
	if t.docker == "" || t.dockd == "" || t.pigz == "" || os.Geteuid() != 0 {
		b.goal("Docker engine → 4, loopback", "at most 1.3 × (docker save, then pigz -6 over its layers); 3 × faster than docker push ×4", false,
			"not measured: needs docker, dockerd, pigz and root")
		return nil
	}
	e, err := startEngine(ctx, filepath.Join(b.folder, "engine"))
	if err != nil {
		return err
	}
	defer e.stop()
	say("loading an image into the engine")
	path := filepath.Join(b.folder, "engine.tar")
	if err := writeEngineImage(path, 450_000_000/b.scale); err != nil {
		return err
	}
	if err := e.docker(ctx, t, "load", "-i", path); err != nil {
		return err
	}
	if err := os.Remove(path); err != nil {
		return err
	}

	n := &network{}
	st, err := startStage(ctx, n, 4, b.store)
	if err != nil {
		return err
	}
	defer os.RemoveAll(b.store)
	defer st.stop()
	env := []string{"DOCKER_HOST=unix://" + e.socket}
	saved := filepath.Join(b.folder, "saved")
	all := []contender{
		{who: us, do: e.counted(func(ctx context.Context) (cost, error) {
			p := t.ours("docker-daemon:"+engineImage, st.hosts(), os.DevNull)
			p.Env = append(p.Env, env...)
			return n.run(ctx, p)
		})},
		{who: "docker save, pigz -6", do: e.counted(func(ctx context.Context) (cost, error) {
			defer os.RemoveAll(saved)
			return n.serial(ctx, saveAndCompress(t, saved, env))
		})},
		{who: "docker push ×4", do: e.counted(func(ctx context.Context) (cost, error) {
			var all []process
			for _, h := range st.hosts() {
				if err := e.docker(ctx, t, "tag", engineImage, reference(h)); err != nil {
					return cost{}, err
				}
				all = append(all, process{Args: []string{t.docker, "push", "--quiet", reference(h)}, Env: env})
			}
			return n.serial(ctx, all)
		})},
	}
	if t.skopeo != "" {
		all = append(all, contender{who: "skopeo copy ×4", do: e.counted(func(ctx context.Context) (cost, error) {
			return n.serial(ctx, t.skopeoCopy("docker-daemon:"+engineImage, st.hosts(), "--src-daemon-host", "unix://"+e.socket))
		})})
	}
	lines, err := b.contest(ctx, "Docker engine → 4, loopback", st, 0, 0, all)
	if err != nil {
		return err
	}
	ours, limit, push := lines[0].seconds(), lines[1].seconds(), lines[2].seconds()
	b.goal("Docker engine → 4, loopback: limit", "at most 1.0 × (docker save, then pigz -6 over its layers)", ours <= limit, "%.2f s of %.2f s: %.2f ×", ours, limit, ours/limit)
	b.goal("Docker engine → 4, loopback: docker push", "4 × faster than docker push four times", push >= 4*ours, "%.2f × faster (%.2f s)", push/ours, push)
	return nil
}

// saveAndCompress is the least that has to be done: docker save into a file, its layers
// out of it, pigz over each.
func saveAndCompress(t *tools, dir string, env []string) []process {
	script := `set -e
mkdir -p "$0"
"$1" save -o "$0/image.tar" ` + engineImage + `
tar -C "$0" -xf "$0/image.tar"
find "$0" -name layer.tar -o -path '*/blobs/sha256/*' -size +1000k | while read -r layer; do "$2" -6 -c "$layer" >/dev/null; done`
	return []process{{Args: []string{"/bin/sh", "-c", script, dir, t.docker, t.pigz}, Env: env}}
}

// engine is a Docker engine of our own.
type engine struct {
	cmd    *exec.Cmd
	socket string
}

func startEngine(ctx context.Context, dir string) (*engine, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	script, err := filepath.Abs("../.ci/engine")
	if err != nil {
		return nil, err
	}
	e := &engine{cmd: exec.CommandContext(ctx, script, dir), socket: filepath.Join(dir, "docker.sock")}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	e.cmd.Stdout, e.cmd.Stderr = log, log
	e.cmd.Env = environment()
	e.cmd.Cancel = func() error { return e.cmd.Process.Signal(os.Interrupt) }
	if err := e.cmd.Start(); err != nil {
		return nil, err
	}
	for range 300 {
		if exec.CommandContext(ctx, "docker", "--host", "unix://"+e.socket, "version").Run() == nil {
			return e, nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	e.stop()
	text, _ := os.ReadFile(log.Name())
	return nil, fmt.Errorf("the Docker engine did not start: %s", text[max(0, len(text)-2000):])
}

func (e *engine) stop() {
	_ = e.cmd.Process.Signal(os.Interrupt)
	_ = e.cmd.Wait()
}

func (e *engine) docker(ctx context.Context, t *tools, args ...string) error {
	return command(ctx, t.docker, append([]string{"--host", "unix://" + e.socket}, args...)...)
}

// counted adds what the engine itself works for the client.
func (e *engine) counted(do func(context.Context) (cost, error)) func(context.Context) (cost, error) {
	return func(ctx context.Context) (cost, error) {
		before := ticks(e.cmd.Process.Pid)
		c, err := do(ctx)
		c.CPU += ticks(e.cmd.Process.Pid) - before
		return c, err
	}
}

// ticks returns the processor time of a process and its ended children: utime, stime, cutime and
// cstime of proc(5), in hundredths of a second.
func ticks(pid int) time.Duration {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	var sum int64
	for _, f := range fields[11:15] {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0
		}
		sum += n
	}
	return time.Duration(sum) * 10 * time.Millisecond
}

// writeEngineImage writes what docker load takes: three layers that compress to about
// a half, as programs do.
func writeEngineImage(path string, size int) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	buffered := bufio.NewWriterSize(f, 1<<20)
	w := tar.NewWriter(buffered)
	type manifest struct {
		Config   string
		RepoTags []string
		Layers   []string
	}
	m := manifest{Config: "config.json", RepoTags: []string{engineImage}}
	var diffs []string
	for i, share := range []int{2, 3, 4} {
		plain := layer(uint64(i), size*share/9)
		name := fmt.Sprintf("%d/layer.tar", i)
		sum := sha256.Sum256(plain)
		diffs = append(diffs, "sha256:"+hex.EncodeToString(sum[:]))
		m.Layers = append(m.Layers, name)
		if err := add(w, name, plain); err != nil {
			return err
		}
	}
	config, err := json.Marshal(map[string]any{"architecture": "amd64", "os": "linux", "config": map[string]any{"Entrypoint": []string{"/app"}},
		"rootfs": map[string]any{"type": "layers", "diff_ids": diffs}})
	if err != nil {
		return err
	}
	list, err := json.Marshal([]manifest{m})
	if err != nil {
		return err
	}
	if err := errors.Join(add(w, "config.json", config), add(w, "manifest.json", list), w.Close()); err != nil {
		return err
	}
	return buffered.Flush()
}

func add(w *tar.Writer, name string, content []byte) error {
	if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(content))}); err != nil {
		return err
	}
	_, err := w.Write(content)
	return err
}

// layer is a tar of files of 4 MB.
func layer(seed uint64, size int) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	rnd := rand.New(rand.NewPCG(seed, 7))
	for i := range size/4_000_000 + 1 {
		if err := add(w, fmt.Sprintf("layer%d/file%d", seed, i), text(rnd, min(4_000_000, size-i*4_000_000))); err != nil {
			panic(err) // into memory
		}
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// text is bytes that compress as programs do: short pieces that come again, and noise.
func text(rnd *rand.Rand, n int) []byte {
	words := make([][]byte, 4096)
	for i := range words {
		words[i] = make([]byte, 4+rnd.IntN(12))
		for j := range words[i] {
			words[i][j] = byte(rnd.Uint32())
		}
	}
	out := make([]byte, 0, n+32)
	for len(out) < n {
		if rnd.IntN(3) == 0 {
			out = append(out, byte(rnd.Uint32()), byte(rnd.Uint32()), byte(rnd.Uint32()), byte(rnd.Uint32()))
			continue
		}
		out = append(out, words[rnd.IntN(1+rnd.IntN(len(words)))]...)
	}
	return out[:n]
}
