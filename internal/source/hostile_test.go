package source

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/zstd"

	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

// mostMemory bounds the peak of a process that is given any document of the allowed size,
// in bytes.
const mostMemory = 100 << 20

// TestHostileDocumentsTakeLittleMemory measures what each kind of hostile document makes of memory: the
// peak of a process of its own that opens it.
func TestHostileDocumentsTakeLittleMemory(t *testing.T) {
	if path := os.Getenv("OPEN_SOURCE"); path != "" {
		openAlone(path)
		return
	}
	if runtime.GOOS != "linux" {
		t.Skip("the peak is read from /proc")
	}
	if underRace {
		t.Log("measured without the race detector: make test does both")
		return
	}
	b := newBuilder(t)
	fill := func(before, element, after string) []byte {
		n := (maxManifest - len(before) - len(after)) / (len(element) + 1)
		return []byte(before + element + strings.Repeat(","+element, n-1) + after)
	}
	index := func(element string) []byte { return fill(`{"schemaVersion":2,"manifests":[`, element, `]}`) }
	image := func(element string) []byte {
		return fill(`{"schemaVersion":2,"mediaType":"`+string(types.OCIManifestSchema1)+`","config":{"mediaType":"x","size":2,"digest":"`+digestOf([]byte("{}")).String()+`"},"layers":[`, element, `]}`)
	}
	config := func(element string) []byte {
		return fill(`{"os":"linux","architecture":"amd64","rootfs":{"diff_ids":[`, element, `]}}`)
	}
	short := `{"digest":"sha256:` + strings.Repeat("a", 64) + `"}`
	listed := func(d []byte) []member { return b.files(b.add(types.OCIImageIndex, d)) }
	pair := func(manifest, config []byte) []member {
		return []member{{name: "manifest.json", data: manifest}, {name: "c", data: config}}
	}
	var names bytes.Buffer
	for n := range 39_000 {
		fmt.Fprintf(&names, `,"%090d"`, n)
	}
	entries := make([]member, 0, 60_000)
	for n := range cap(entries) {
		entries = append(entries, member{name: fmt.Sprintf("%0200d", n)})
	}
	var annotations bytes.Buffer
	for n := range 190_000 {
		fmt.Fprintf(&annotations, `,"%06d":"x"`, n)
	}
	zeros, written := manyZeros(t)
	rows := []string{fmt.Sprintf("| 4 GiB of zeros in 4 MiB of gzip: on the disk | %d MiB |\n", written>>20)}
	if written > 1<<20 {
		t.Errorf("%d MiB of zeros are written", written>>20)
	}
	paths := map[string]string{"4 GiB of zeros in 4 MiB of gzip": zeros, "a zstd window of 128 MiB": wideWindow(t)}
	for name, members := range map[string][]member{
		"nulls in index.json":      {{name: "index.json", data: index("null")}},
		"objects in index.json":    {{name: "index.json", data: index("{}")}},
		"digests in index.json":    {{name: "index.json", data: index(short)}},
		"numbers in an index":      listed(index("0")),
		"digests in an index":      listed(index(short)),
		"nulls in a manifest":      b.files(b.add(types.OCIManifestSchema1, image("null"))),
		"digests in a manifest":    b.files(b.add(types.OCIManifestSchema1, image(short))),
		"nulls in manifest.json":   pair(fill("[", "null", "]"), []byte("{}")),
		"objects in manifest.json": pair(fill("[", "{}", "]"), []byte("{}")),
		"RepoTags":                 pair(fill(`[{"Config":"c","RepoTags":[`, `""`, `]}]`), []byte("{}")),
		"long RepoTags":            pair([]byte(`[{"Config":"c","RepoTags":[""`+names.String()+`]}]`), []byte("{}")),
		"Layers":                   pair(fill(`[{"Config":"c","Layers":[`, `""`, `]}]`), []byte("{}")),
		"diff_ids":                 pair([]byte(`[{"Config":"c"}]`), config(`null`)),
		"full diff_ids":            pair([]byte(`[{"Config":"c"}]`), config(`"sha256:`+strings.Repeat("a", 64)+`"`)),
		"annotations":              listed([]byte(`{"schemaVersion":2,"manifests":[],"annotations":{"":""` + annotations.String() + `}}`)),
		"levels":                   {{name: "index.json", data: bytes.Repeat([]byte("["), maxManifest)}},
		"entries of an archive":    entries,
	} {
		paths[name] = writeFile(t, "image.tar", tarOf(t, members...))
	}
	for name, path := range paths {
		t.Run(name, func(t *testing.T) {
			command := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestHostileDocumentsTakeLittleMemory$", "-test.v")
			command.Env = append(os.Environ(), "OPEN_SOURCE="+path)
			out, err := command.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			found := regexp.MustCompile(`VmHWM:\s*(\d+) kB`).FindSubmatch(out)
			if found == nil {
				t.Fatalf("%s", out)
			}
			kib, err := strconv.ParseInt(string(found[1]), 10, 64)
			must(t, err)
			t.Logf("%d MiB", kib>>10)
			rows = append(rows, fmt.Sprintf("| %s | %d MiB |\n", name, kib>>10))
			if kib<<10 > mostMemory {
				t.Errorf("%s: the peak is %d MiB", name, kib>>10)
			}
		})
	}
	slices.Sort(rows)
	peaksInThePage(t, rows)
}

// manyZeros returns an archive of 4 MiB that unpacks to 4 GiB of zeros, and how many bytes of
// those reach the disk.
func manyZeros(t *testing.T) (path string, written int64) {
	t.Helper()
	part, err := os.ReadFile(bomb(t, nil, 64<<20))
	must(t, err)
	path = writeFile(t, "zeros.tar.gz", bytes.Repeat(part, 64))
	f, err := os.Open(path)
	must(t, err)
	defer func() { must(t, f.Close()) }()
	r, err := decompress(f, gzipped)
	must(t, err)
	defer func() { must(t, r.Close()) }()
	w := &countingWriter{w: io.Discard}
	_, err = unpack(t.Context(), w, r)
	must(t, err)
	return path, w.n
}

// wideWindow returns an archive whose zstd window is 128 MiB.
func wideWindow(t *testing.T) string {
	t.Helper()
	var out bytes.Buffer
	z, err := zstd.NewWriter(&out, zstd.WithWindowSize(128<<20), zstd.WithSingleSegment(false))
	must(t, err)
	for range 2 {
		_, err = z.Write(make([]byte, 1<<20))
		must(t, err)
		must(t, z.Flush())
	}
	must(t, z.Close())
	return writeFile(t, "wide.tar.zst", out.Bytes())
}

// peaksInThePage writes the peaks into docs/reliability.md with UPDATE=1; else it checks that
// the page has a row for each kind of document.
func peaksInThePage(t *testing.T, rows []string) {
	t.Helper()
	const page = "../../docs/reliability.md"
	text, err := os.ReadFile(page)
	must(t, err)
	before, rest, _ := strings.Cut(string(text), "<!-- memory -->\n")
	table, after, found := strings.Cut(rest, "<!-- /memory -->")
	if !found {
		t.Fatal("docs/reliability.md has no place for the peaks")
	}
	if os.Getenv("UPDATE") != "" {
		table = "| hostile document, of the allowed size | peak |\n|---|---|\n" + strings.Join(rows, "")
		must(t, os.WriteFile(page, []byte(before+"<!-- memory -->\n"+table+"<!-- /memory -->"+after), 0o644)) // #nosec G306 -- a page
	}
	for _, row := range rows {
		if name := strings.Split(row, " | ")[0]; !strings.Contains(table, name+" | ") {
			t.Errorf("docs/reliability.md lacks the row %q: run with UPDATE=1", name)
		}
	}
}

// openAlone opens a source as a run does, and prints the peak of this process.
func openAlone(path string) {
	ctx := context.Background()
	spec := Spec{Kind: BarePath, Path: path, Text: path}
	i, err := Open(ctx, spec, Options{})
	if err == nil {
		if root, rootErr := i.Root(ctx); rootErr == nil {
			_, _ = i.Referrers(ctx, root)
		}
		_, _ = i.Platforms(ctx)
		_ = i.Close()
	}
	status, _ := os.ReadFile("/proc/self/status")
	fmt.Printf("%v\n%s", err, status)
}

// The images of a run share a budget, so that many of them take no more than one.
func TestImagesShareABudget(t *testing.T) {
	withoutRace(t)
	b := newBuilder(t)
	layers := strings.Repeat(`,{"mediaType":"x","size":1,"digest":"`+digestOf([]byte("x")).String()+`"}`, 25_000)
	b.add("x", []byte("x"))
	big := b.add(types.OCIManifestSchema1, []byte(`{"schemaVersion":2,"config":{"mediaType":"x","size":1,"digest":"`+digestOf([]byte("x")).String()+`"},"layers":[`+layers[1:]+`]}`))
	path := writeFile(t, "image.tar", tarOf(t, b.files(big)...))
	var budget Budget
	for n := range 3 {
		_, err := open(t, path, Options{Budget: &budget})
		if n < 2 {
			must(t, err)
			continue
		}
		wantProblem(t, err, usererror.SourceBroken, "60000 manifests and blobs together")
	}
	_, err := open(t, path, Options{})
	must(t, err)
	// What is only looked at leaves the budget as it was.
	spec, err := Parse(path, Paths{})
	must(t, err)
	for range 3 {
		must(t, Check(t.Context(), spec, Options{Budget: &Budget{}}))
	}
}
