package registry

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/multi-registry-push/multi-registry-push/internal/registry"
	"github.com/multi-registry-push/multi-registry-push/test/servers"
)

// fault is something that happens once, when the upload has come to a byte.
type fault struct {
	name  string
	arm   func(*link, *servers.Server)
	stays bool // until the upload is done: nothing breaks by it
	exact bool // the registry does it, at the very byte
	hard  bool // connections end with a reset
	rests bool // no byte comes, and no end either
}

func kit(f servers.Fault) func(*link, *servers.Server) {
	f.Match = func(r *http.Request) bool { return r.Method == "PUT" || r.Method == "PATCH" }
	return func(_ *link, s *servers.Server) { s.Faults.Add(f) }
}

var faults = []fault{
	{name: "connection reset (RST)", hard: true, arm: func(l *link, _ *servers.Server) { l.add("reset_peer", "upstream", map[string]any{"timeout": 0}) }},
	{name: "connection closed (FIN)", arm: func(l *link, _ *servers.Server) { l.add("limit_data", "upstream", map[string]any{"bytes": 0}) }},
	{name: "stall, nothing passes any more", rests: true, arm: func(l *link, _ *servers.Server) { l.add("timeout", "upstream", map[string]any{"timeout": 0}) }},
	{name: "bytes vanish, then closed", arm: func(l *link, _ *servers.Server) { l.add("timeout", "upstream", map[string]any{"timeout": 50}) }},
	{name: "answer reset", hard: true, arm: func(l *link, _ *servers.Server) { l.add("reset_peer", "downstream", map[string]any{"timeout": 0}) }},
	{name: "answer never comes", rests: true, arm: func(l *link, _ *servers.Server) { l.add("timeout", "downstream", map[string]any{"timeout": 0}) }},
	{name: "registry gone for a moment (refused)", arm: func(l *link, _ *servers.Server) { l.cut() }},
	{name: "slow link, 16 MB/s", stays: true, arm: func(l *link, _ *servers.Server) { l.add("bandwidth", "upstream", map[string]any{"rate": 16 << 10}) }},
	{name: "latency 20 ± 10 ms", stays: true, arm: func(l *link, _ *servers.Server) {
		l.add("latency", "upstream", map[string]any{"latency": 20, "jitter": 10})
	}},
	{name: "bytes in small pieces", stays: true, arm: func(l *link, _ *servers.Server) {
		l.add("slicer", "upstream", map[string]any{"average_size": 8 << 10, "size_variation": 4 << 10, "delay": 10})
	}},
	{name: "slow close", stays: true, arm: func(l *link, _ *servers.Server) { l.add("slow_close", "upstream", map[string]any{"delay": 50}) }},
}

// answers are faults that the registry itself shows, to the request that carries the blob.
var answers = []fault{
	{name: "408", arm: kit(servers.Fault{Status: 408})},
	{name: "425", arm: kit(servers.Fault{Status: 425})},
	{name: "429", arm: kit(servers.Fault{Status: 429})},
	{name: "429 with Retry-After: 7", arm: kit(servers.Fault{Status: 429, Header: map[string][]string{"Retry-After": {"7"}}})},
	{name: "500", arm: kit(servers.Fault{Status: 500})},
	{name: "502, three times", arm: kit(servers.Fault{Status: 502, Count: 3})},
	{name: "503 with Retry-After: 3", arm: kit(servers.Fault{Status: 503, Header: map[string][]string{"Retry-After": {"3"}}})},
	{name: "504", arm: kit(servers.Fault{Status: 504})},
	{name: "520", arm: kit(servers.Fault{Status: 520})},
	{name: "401, the token has died", arm: kit(servers.Fault{Status: 401})},
	{name: "done, but the answer is dropped", arm: kit(servers.Fault{DropAnswer: true})},
}

const blobSize = 6 << 20

// result is one row of the table in docs/reliability.md.
type result struct {
	fault, where, kind string
	sent               float64 // bytes at the server ÷ size
	retries            int64
}

func TestFaults(t *testing.T) {
	var mu sync.Mutex
	byKind := map[string][]result{}
	t.Run("all", func(t *testing.T) {
		for n, kind := range kinds {
			t.Run(kind.name, func(t *testing.T) {
				t.Parallel()
				s := kind.start(t)
				seed := uint64(0)
				run := func(f fault, where string, at int64) {
					seed++
					t.Run(f.name+" "+where, func(t *testing.T) {
						r := suffer(t, s, f, at, seed, kind.keeps)
						r.where, r.kind = where, kind.name
						mu.Lock()
						byKind[kind.name] = append(byKind[kind.name], r)
						mu.Unlock()
					})
				}
				for i, f := range faults {
					if f.stays {
						run(f, "middle", blobSize/2)
						continue
					}
					for j, at := range []int64{1, blobSize / 2, blobSize} {
						// With -short each fault happens at one place to each registry.
						if !testing.Short() || (i+n)%3 == j {
							run(f, []string{"start", "middle", "end"}[j], at)
						}
					}
				}
				for _, f := range answers {
					if s.Tokens == nil && strings.HasPrefix(f.name, "401") {
						continue // without tokens it is a refusal, and final
					}
					run(f, "", 0)
				}
			})
		}
	})
	if os.Getenv("UPDATE") != "" && !t.Failed() {
		var results []result
		for _, kind := range kinds {
			results = append(results, byKind[kind.name]...)
		}
		write(t, "uploads", table(results))
	}
}

// suffer uploads a blob while f happens, and checks what arrived.
func suffer(t *testing.T, s *servers.Server, f fault, at int64, seed uint64, keeps bool) result {
	t.Helper()
	l := newLink(t, s.Host, f.hard)
	data, d := noise(blobSize, seed)
	c := client(t, s, l, patience(f.rests), func() {
		if !f.stays {
			l.clear()
		}
	})
	r := c.Repository(fmt.Sprintf("faults/%d", seed))
	if err := r.Login(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.Log.Reset()
	p := &trigger{do: func() { f.arm(l, s) }}
	if at > 0 {
		p.at = []int64{at}
	} else {
		f.arm(l, s)
	}
	how, err := r.Upload(t.Context(), d, nil, content(data), p)
	l.clear()
	if err != nil || how != registry.Uploaded {
		t.Fatalf("Upload: %v, %v\n%s", how, err, s.Log)
	}
	if p.total() != d.Size {
		t.Errorf("progress adds up to %d of %d", p.total(), d.Size)
	}
	same(t, s, r.Path(), d, data)
	got := result{fault: f.name, sent: float64(bodies(s)) / float64(d.Size), retries: c.Stats().Retries}
	if at > 0 && !f.stays && got.retries == 0 {
		t.Errorf("the fault did not happen\n%s", s.Log)
	}
	if keeps && at > 0 && got.sent > 1.6 {
		t.Errorf("%.2f times the blob was sent\n%s", got.sent, s.Log)
	}
	return got
}

// same reads a blob back with another client.
func same(t *testing.T, s *servers.Server, repository string, d v1.Descriptor, want []byte) {
	t.Helper()
	ref, err := name.NewDigest(s.Host + "/" + repository + "@" + d.Digest.String())
	if err != nil {
		t.Fatal(err)
	}
	layer, err := remote.Layer(ref, s.Inspect()...)
	if err != nil {
		t.Fatal(err)
	}
	body, err := layer.Compressed()
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	got, err := io.ReadAll(body)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("the registry has %d other bytes, %v", len(got), err)
	}
}

// table renders results: a row a fault and place, a column a registry.
func table(results []result) string {
	var b strings.Builder
	b.WriteString("| fault | at the blob's |")
	for _, k := range kinds {
		b.WriteString(" " + k.name + " |")
	}
	b.WriteString("\n|---|---|" + strings.Repeat("---|", len(kinds)) + "\n")
	cells := map[string]map[string]string{}
	var rows []string
	for _, r := range results {
		row := "| " + r.fault + " | " + r.where + " |"
		if cells[row] == nil {
			cells[row] = map[string]string{}
			rows = append(rows, row)
		}
		again := "at once"
		switch r.retries {
		case 0:
		case 1:
			again = "after 1 retry"
		default:
			again = fmt.Sprintf("after %d retries", r.retries)
		}
		cells[row][r.kind] = fmt.Sprintf("whole %s, %.2f ×", again, r.sent)
	}
	for _, row := range rows {
		b.WriteString(row)
		for _, k := range kinds {
			b.WriteString(" " + cells[row][k.name] + " |")
		}
		b.WriteString("\n")
	}
	return b.String()
}

// write puts the table between the marks in docs/reliability.md.
func write(t *testing.T, name, table string) {
	t.Helper()
	path := filepath.Join("..", "..", "docs", "reliability.md")
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	begin, end := "<!-- "+name+" -->\n", "<!-- /"+name+" -->"
	before, rest, ok := strings.Cut(string(raw), begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no marks for the table", path)
	}
	if err := os.WriteFile(path, []byte(before+begin+table+end+after), 0o644); err != nil {
		t.Fatal(err)
	}
}
