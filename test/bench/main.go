// Command bench measures the program against other tools at the same work, side by side,
// and prints one table. Times are whole processes, start to exit; counts come
// from the servers. Everything stays on loopback addresses of this machine.
//
// See docs/performance.md for how to read it.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/multi-registry-push/multi-registry-push/test/images"
)

// bench is one run of the benchmark.
type bench struct {
	rounds    int
	scale     int
	namespace bool
	folder    string         // temporary, on a disk: spools, archives, the engine
	store     string         // temporary, in memory if there is enough: the servers' storage
	trace     string         // file for all requests of our last run at a distance, "" for none
	who       *regexp.Regexp // contenders that take part at a distance
	tools     *tools
	image     *images.Image
	report    report
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "serve" {
		// Ends with its standard input; an interrupt is for the parent.
		signal.Ignore(os.Interrupt)
		if err := serve(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		stop()
		os.Exit(1)
	}
}

// works are all measures, in the order in which they run.
func works() []work {
	all := []work{
		{"start", (*bench).start},
		{"loopback", (*bench).loopback},
		{"throttled", (*bench).throttledCopy},
		{"archive", (*bench).fromArchive},
		{"slow", (*bench).oneSlow},
		{"again", (*bench).again},
		{"registries", (*bench).registries},
		{"large", (*bench).large},
		{"product", (*bench).product},
		{"engine", (*bench).engine},
	}
	for _, w := range farWorks() {
		all = append(all, work{"far/" + w.name, func(b *bench, ctx context.Context) error { return b.far(ctx, w) }})
	}
	for _, w := range buildWorks() {
		all = append(all, work{"buildkit/" + w.name, func(b *bench, ctx context.Context) error { return b.buildkit(ctx, w) }})
	}
	return all
}

type work struct {
	name string
	do   func(*bench, context.Context) error
}

func run(ctx context.Context) (err error) {
	var names []string
	for _, w := range works() {
		names = append(names, w.name)
	}
	rounds := flag.Int("rounds", 3, "how often each is measured; medians are printed")
	only := flag.String("only", ".", "regular expression: which measures to run, of "+strings.Join(names, ", "))
	small := flag.Bool("small", false, "an image of a tenth of the size, one round: to see that everything works")
	namespace := flag.Bool("namespace", true, "throttle in a network namespace where root allows it; else the servers limit their rates by themselves")
	file := flag.String("json", "", "file to merge the results into")
	trace := flag.String("trace", "", "file for all requests of our last run at a distance, and when they were made")
	docs := flag.String("docs", "", "folder of the documents, whose tables and picture are replaced by what the file of -json holds")
	who := flag.String("who", ".", "regular expression: who takes part at a distance; goals need everybody")
	program := flag.String("program", "", "program that is measured in place of this checkout's, an older one for instance")
	flag.Parse()
	wanted, err := regexp.Compile("^(?:" + *only + ")")
	if err != nil {
		return err
	}
	taking, err := regexp.Compile(*who)
	if err != nil {
		return err
	}

	b := &bench{who: taking, rounds: *rounds, scale: 1, namespace: *namespace, trace: *trace}
	if *small {
		b.rounds, b.scale = 1, 10
	}
	if b.folder, err = os.MkdirTemp("", "mrp-bench-"); err != nil {
		return err
	}
	defer os.RemoveAll(b.folder)
	b.store = b.folder + "/store"
	if free("/dev/shm") > 6<<30 {
		if b.store, err = os.MkdirTemp("/dev/shm", "mrp-bench-"); err != nil {
			return err
		}
		defer os.RemoveAll(b.store)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	built := cache + "/multi-registry-push-bench"
	if err := os.MkdirAll(built, 0o755); err != nil {
		return err
	}
	if b.tools, err = findTools(ctx, built); err != nil {
		return err
	}
	b.tools.us = cmp.Or(*program, b.tools.us)
	b.report = report{Machine: machine(b)}
	say("making the image")
	b.image = realistic(b.scale)
	b.report.ImageBytes, b.report.Blobs = b.image.Size(), len(b.image.Blobs)

	for _, w := range works() {
		if !wanted.MatchString(w.name) {
			continue
		}
		say("%s", w.name)
		begun := time.Now()
		if err := w.do(b, ctx); err != nil {
			return fmt.Errorf("%s: %w", w.name, err)
		}
		say("%s took %s", w.name, time.Since(begun).Round(time.Second))
		if *file != "" {
			if err := b.report.merge(*file); err != nil {
				return err
			}
		}
	}
	b.report.print(os.Stdout)
	if *docs != "" {
		return document(*docs, *file)
	}
	return nil
}

// say tells how far it is.
func say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "bench: "+format+"\n", args...)
}

// machine describes where it runs.
func machine(b *bench) string {
	storage := "on disk"
	if strings.HasPrefix(b.store, "/dev/shm") {
		storage = "in memory"
	}
	return fmt.Sprintf("%s/%s, %d cores, %s; servers: Distribution 3 on the same machine, storage %s; %s",
		runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version(), storage, strings.Join(b.tools.versions, ", "))
}

// spec returns the source's reference.
func spec() string { return "docker://" + reference(sourceAddr) }

// within makes a network for one measure; throttled ones get a namespace where root
// allows it.
func (b *bench) within(ctx context.Context, throttled, slowLast bool) (*network, error) {
	if b.namespace && runtime.GOOS == "linux" && os.Geteuid() == 0 {
		n, err := newNamespace(ctx, throttled, slowLast)
		if err == nil {
			return n, nil
		}
		say("no network namespace (%v): the servers limit their rates by themselves", err)
	}
	return &network{throttled: throttled, slowLast: slowLast}, nil
}

// stage starts servers in a network, with the image in the source.
func (b *bench) stage(ctx context.Context, throttled, slowLast bool) (*stage, func(), error) {
	n, err := b.within(ctx, throttled, slowLast)
	if err != nil {
		return nil, nil, err
	}
	st, err := startStage(ctx, n, 4, b.store)
	if err != nil {
		n.close()
		return nil, nil, err
	}
	end := func() {
		st.stop()
		n.close()
		_ = os.RemoveAll(b.store)
	}
	if err := upload(ctx, n, st.source, b.image); err != nil {
		end()
		return nil, nil, err
	}
	return st, end, nil
}

// results reads our own program's output of that name.
func results(file string) (r ourResults, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return r, err
	}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "{") {
			err = json.Unmarshal([]byte(line), &r)
		}
	}
	return r, err
}

type ourResults struct {
	Registries []struct {
		Registry   string
		Status     string
		DurationMs int64
		Requests   int64
	}
}
