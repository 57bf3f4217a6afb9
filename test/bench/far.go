package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/multi-registry-push/multi-registry-push/test/images"
)

// Far registries: under names of their own, with TLS and HTTP/2, and with tokens from a service on
// another host. All of that is in a network namespace, which has its own names; it needs root.

const (
	farSource = "source.test"
	farTokens = "tokens.test"
)

// farHosts are the destinations.
func farHosts() []string { return []string{"one.test", "two.test", "three.test", "four.test"} }

// farStage is a stage at a distance.
type farStage struct {
	*stage
	tools *tools
	trace string   // file for all requests of our last run, "" for none
	env   []string // what clients need to log in and to trust
	login string   // file of our registry-auth
}

// startFar starts a source, destinations and the token service. Nil without an error: there
// can be no namespace here.
func (b *bench) startFar(ctx context.Context, d distance, registries int) (_ *farStage, _ func(), err error) {
	n, err := b.within(ctx, false, false)
	if err != nil {
		return nil, nil, err
	}
	if n.namespace == "" {
		say("names of their own need a network namespace, and that needs root: left out")
		return nil, nil, nil
	}
	f := &farStage{stage: &stage{network: n}, tools: b.tools, trace: b.trace}
	end := func() {
		f.stop()
		n.close()
	}
	defer func() {
		if err != nil {
			end()
		}
	}()
	names := append([]string{farTokens, farSource}, farHosts()[:registries]...)
	addresses := map[string]string{}
	for i, name := range names {
		addresses[name] = fmt.Sprintf("127.0.0.%d", 9+i)
	}
	if err := n.nameHosts(addresses); err != nil {
		return nil, nil, err
	}
	ca, err := newAuthority(b.folder, names)
	if err != nil {
		return nil, nil, err
	}
	start := func(name string, flags ...string) (*server, error) {
		return launch(ctx, n, name, append(flags, "-addr", addresses[name]+":443", "-cert", ca.cert, "-key", ca.key, "-trip", d.Trip.String(),
			"-work", d.Work.String(), "-link", fmt.Sprint(d.Link), "-each", fmt.Sprint(d.Each), fmt.Sprintf("-old=%v", d.Old))...)
	}
	if f.tokens, err = start(farTokens, "-tokens"); err != nil {
		return nil, nil, err
	}
	for _, name := range names[1:] {
		s, err := start(name, "-realm", "https://"+farTokens+"/token")
		if err != nil {
			return nil, nil, err
		}
		if name == farSource {
			f.source = s
		} else {
			f.to = append(f.to, s)
		}
	}
	return f, end, f.logins(b.folder, ca, names[1:])
}

// logins writes each client's file of credentials.
func (f *farStage) logins(dir string, ca authority, names []string) error {
	auths, hosts, ours := map[string]any{}, map[string]any{}, ""
	for _, name := range names {
		auths[name] = map[string]string{"auth": base64.StdEncoding.EncodeToString([]byte(username + ":" + password))}
		hosts[name] = map[string]string{"user": username, "pass": password}
		ours += fmt.Sprintf("- registry: %s\n  username: %s\n  password: %s\n", name, username, password)
	}
	docker := filepath.Join(dir, "docker")
	if err := os.MkdirAll(docker, 0o700); err != nil {
		return err
	}
	for path, v := range map[string]any{
		filepath.Join(docker, "config.json"): map[string]any{"auths": auths},
		filepath.Join(docker, "regctl.json"): map[string]any{"hosts": hosts},
	} {
		raw, err := json.Marshal(v)
		if err != nil {
			return err
		}
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			return err
		}
	}
	f.login = filepath.Join(docker, "ours.yml")
	if err := os.WriteFile(f.login, []byte(ours), 0o600); err != nil {
		return err
	}
	f.env = []string{"SSL_CERT_FILE=" + ca.cert, "DOCKER_CONFIG=" + docker, "REGISTRY_AUTH_FILE=" + filepath.Join(docker, "config.json"),
		"REGCTL_CONFIG=" + filepath.Join(docker, "regctl.json")}
	return nil
}

// ours is our command line.
func (f *farStage) ours(source string) process {
	var tags []string
	for _, h := range f.hosts() {
		tags = append(tags, reference(h))
	}
	debug := ""
	if f.trace != "" {
		debug = "1"
	}
	return process{Env: append(f.env, "GITHUB_OUTPUT="+os.DevNull, "RUNNER_DEBUG="+debug), Log: f.trace, Args: []string{f.tools.us, "--source", source,
		"--tags", strings.Join(tags, ","), "--registry-auth", "@" + f.login, "--summary", "false"}}
}

// each is a command line for each registry, whose reference is the last argument.
func (f *farStage) each(args ...string) (all []process) {
	for _, h := range f.hosts() {
		all = append(all, process{Env: f.env, Args: append(append([]string(nil), args...), reference(h))})
	}
	return all
}

// way is a tool, and how it publishes.
type way struct {
	who string
	all []process
}

// fromRegistry are all ways to copy the source's image.
func (f *farStage) fromRegistry() []way {
	ways := []way{
		{us, []process{f.ours("docker://" + reference(farSource))}},
		{"crane copy", f.each(f.tools.crane, "copy", reference(farSource))},
		{"regctl image copy", f.each(f.tools.regctl, "image", "copy", reference(farSource))},
	}
	if f.tools.skopeo != "" {
		ways = append(ways, way{"skopeo copy --all", f.skopeo("docker://" + reference(farSource))})
	}
	return ways
}

// local is an image on disk in the forms that the tools read.
type local struct{ archive, layout string }

// write writes an image in a new folder.
func write(image *images.Image, dir string) (l local, err error) {
	if dir, err = os.MkdirTemp(dir, "image-"); err != nil {
		return l, err
	}
	if l.archive, err = archive(image, dir); err != nil {
		return l, err
	}
	l.layout = filepath.Join(dir, "layout")
	return l, command(context.Background(), "sh", "-c", `mkdir "$1" && tar -C "$1" -xf "$0"`, l.archive, l.layout)
}

// fromDisk are all ways to publish an image on disk.
func (f *farStage) fromDisk(l local) []way {
	ways := []way{
		{us, []process{f.ours("oci-archive:" + l.archive)}},
		{"crane push", f.each(f.tools.crane, "push", l.layout)},
		{"regctl image copy", f.each(f.tools.regctl, "image", "copy", "ocidir://"+l.layout+":1")},
	}
	if f.tools.skopeo != "" {
		ways = append(ways, way{"skopeo copy --all", f.skopeo("oci:" + l.layout + ":1")})
	}
	return ways
}

func (f *farStage) skopeo(source string) []process {
	all := f.each(f.tools.skopeo, "--insecure-policy", "copy", "--quiet", "--all", source)
	for _, p := range all {
		last := len(p.Args) - 1
		p.Args[last] = "docker://" + p.Args[last]
	}
	return all
}

// contenders are ways as they run: ours as it is, others at once and, if serial, one by one, too. before are
// the ways that fill registries first, nil for none.
func (f *farStage) contenders(ways, before []way, serial bool) (all []contender) {
	n := f.network
	for i, w := range ways {
		var fill func(context.Context) (cost, error)
		if before != nil {
			fill = func(ctx context.Context) (cost, error) { return n.parallel(ctx, before[i].all) }
		}
		if w.who == us {
			all = append(all, contender{who: us, do: func(ctx context.Context) (cost, error) { return n.serial(ctx, w.all) }, before: fill})
			continue
		}
		if serial && w.who != "skopeo copy --all" { // which takes minutes
			all = append(all, contender{who: fmt.Sprintf("%s ×%d", w.who, len(f.to)), before: fill,
				do: func(ctx context.Context) (cost, error) { return n.serial(ctx, w.all) }})
		}
		all = append(all, contender{who: fmt.Sprintf("%s, %d at once", w.who, len(f.to)), before: fill,
			do: func(ctx context.Context) (cost, error) { return n.parallel(ctx, w.all) }})
	}
	return all
}

// farWork is one contest at a distance.
type farWork struct {
	name   string
	at     distance
	image  func() *images.Image // on disk; nil: the source's
	before func() *images.Image // published before, by the same tool; nil for nothing
	again  bool                 // the image itself was published before
	serial bool                 // tools run one by one, too
	trips  float64              // at most, 0 for no goal
	best   float64              // at most this part of the best tool's time, 0 for no goal
	link   float64              // at most this part of the links' limit, and 15 round trips; 0 for no goal
}

func farWorks() []farWork {
	far := distance{Trip: 100 * time.Millisecond}
	busy := distance{Trip: 40 * time.Millisecond, Work: 150 * time.Millisecond}
	narrow := distance{Trip: far.Trip, Link: linkRate / 8, Old: true}
	wide := distance{Trip: 50 * time.Millisecond, Each: 25_000_000, Old: true}
	return []farWork{
		{name: "OCI archive → 3, 100 ms", at: far, image: small, serial: true, trips: 15, best: 0.5},
		{name: "1 registry → 3, 100 ms", at: far, trips: 17, best: 0.5},
		{name: "OCI archive → 3, 100 ms, again", at: far, image: small, again: true, trips: 8, best: 1.1},
		{name: "1 registry → 3, 100 ms, again", at: far, again: true, trips: 8, best: 1.1},
		{name: "OCI archive → 3, 100 ms, 1 of 12 layers changed", at: far, image: layers(12, 20<<10, 2), before: layers(12, 20<<10, 3), trips: 13, best: 0.6},
		{name: "OCI archive → 3, 40 ms, writes take 150 ms", at: busy, image: small, best: 0.5},
		{name: "40 layers of 5 MB → 3, 100 ms, 200 Mbit/s each", at: narrow, image: layers(40, 5_000_000, 1), link: 1.1},
		{name: "12 layers of 5 MB → 3, 50 ms, 25 MB/s a connection", at: wide, image: layers(12, 5_000_000, 1), best: 0.5},
	}
}

// small is two platforms of 12 small layers: 26 blobs, 0.5 MB.
func small() *images.Image {
	return images.Build(images.Options{Layers: 12, Shared: -1, LayerBytes: 20 << 10, NoAttestations: true})
}

// layers is an image of one platform; variant decides the first layer alone.
func layers(n, size int, variant uint64) func() *images.Image {
	return func() *images.Image {
		return images.Build(images.Options{Platforms: []string{"linux/amd64"}, Layers: n, LayerBytes: size, NoAttestations: true, SharedSeed: variant})
	}
}

// far is what distance costs.
func (b *bench) far(ctx context.Context, w farWork) error {
	f, end, err := b.startFar(ctx, w.at, 3)
	if err != nil || f == nil {
		return err
	}
	defer end()
	var ways, before []way
	var bytes int64
	if w.image == nil {
		bytes, err = f.source.synthesize(24, 2, 20<<10)
		ways = f.fromRegistry()
	} else {
		ways, bytes, err = f.onDisk(w.image(), b.folder)
	}
	if err != nil {
		return err
	}
	switch {
	case w.again:
		before = ways
	case w.before != nil:
		if before, _, err = f.onDisk(w.before(), b.folder); err != nil {
			return err
		}
	}
	limit := time.Duration(0)
	if w.at.Link > 0 {
		limit = time.Duration(float64(bytes) / float64(w.at.Link) * float64(time.Second))
	}
	everybody := f.contenders(ways, before, w.serial)
	all := slices.DeleteFunc(slices.Clone(everybody), func(c contender) bool { return !b.who.MatchString(c.who) })
	lines, err := b.contest(ctx, w.name, f.stage, limit, bytes, all)
	if err != nil {
		return err
	}
	for _, l := range lines {
		l.Trip = w.at.Trip
	}
	if len(all) == len(everybody) {
		b.farGoals(w, lines)
	}
	return nil
}

// onDisk writes an image and returns all ways to publish it, and the bytes of its blobs.
func (f *farStage) onDisk(image *images.Image, dir string) ([]way, int64, error) {
	l, err := write(image, dir)
	return f.fromDisk(l), image.BlobBytes(), err
}

func (b *bench) farGoals(w farWork, lines []*line) {
	ours, best := lines[0], lines[1]
	for _, l := range lines[1:] {
		if l.seconds() < best.seconds() {
			best = l
		}
	}
	if w.trips > 0 {
		b.goal(w.name+": round trips", fmt.Sprintf("at most %.0f", w.trips), ours.trips() <= w.trips, "%.1f; %s %.1f", ours.trips(), best.Who, best.trips())
	}
	if w.best > 0 {
		ratio := ours.seconds() / best.seconds()
		b.goal(w.name+": time", fmt.Sprintf("at most %.1f × the best tool's", w.best), ratio <= w.best, "%.2f s; %s %.2f s: %.2f × of it",
			ours.seconds(), best.Who, best.seconds(), ratio)
	}
	if w.link > 0 {
		most := w.link*ours.Limit.Seconds() + 15*w.at.Trip.Seconds()
		b.goal(w.name+": limit", fmt.Sprintf("at most %.1f × the limit, and 15 round trips", w.link), ours.seconds() <= most,
			"%.2f s of %.2f s, at most %.2f s", ours.seconds(), ours.Limit.Seconds(), most)
	}
}
