package source

import (
	"archive/tar"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

func index(raw []byte) (*archive, error) { return indexTar(bytes.NewReader(raw), int64(len(raw))) }

func contentOf(t testing.TB, a *archive, name string) string {
	f, err := a.lookup(name)
	must(t, err)
	raw, err := readAll(f, name, 1<<20)
	must(t, err)
	return string(raw)
}

func TestTarFormats(t *testing.T) {
	long := strings.Repeat("long/", 60) + "name"
	for _, format := range []tar.Format{tar.FormatUSTAR, tar.FormatPAX, tar.FormatGNU} {
		t.Run(format.String(), func(t *testing.T) {
			var buf bytes.Buffer
			w := tar.NewWriter(&buf)
			write := func(h tar.Header, data string) {
				h.Format, h.Size, h.Mode = format, int64(len(data)), 0o644
				must(t, w.WriteHeader(&h))
				_, err := io.WriteString(w, data)
				must(t, err)
			}
			write(tar.Header{Name: "./first", Typeflag: tar.TypeReg}, "one")
			write(tar.Header{Name: "folder/", Typeflag: tar.TypeDir}, "")
			if format != tar.FormatUSTAR {
				write(tar.Header{Name: long, Typeflag: tar.TypeReg}, "two")
			}
			if format == tar.FormatPAX {
				write(tar.Header{Name: "pax", Typeflag: tar.TypeReg, PAXRecords: map[string]string{"MINE.comment": strings.Repeat("x", 3000)}}, "three")
			}
			write(tar.Header{Name: "folder/hard", Typeflag: tar.TypeLink, Linkname: "first"}, "")
			write(tar.Header{Name: "folder/soft", Typeflag: tar.TypeSymlink, Linkname: "../first"}, "")
			write(tar.Header{Name: "device", Typeflag: tar.TypeChar}, "")
			write(tar.Header{Name: "last", Typeflag: tar.TypeReg}, strings.Repeat("z", 513))
			must(t, w.Close())
			a, err := index(buf.Bytes())
			must(t, err)
			for name, want := range map[string]string{"first": "one", "folder/hard": "one", "folder/soft": "one", "last": strings.Repeat("z", 513)} {
				if got := contentOf(t, a, name); got != want {
					t.Errorf("%s holds %q", name, got)
				}
			}
			if format != tar.FormatUSTAR && contentOf(t, a, long) != "two" {
				t.Error("long name")
			}
			if format == tar.FormatPAX && contentOf(t, a, "pax") != "three" {
				t.Error("PAX records")
			}
			for _, name := range []string{"device", "folder", "none"} {
				if _, err := a.lookup(name); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("%s: %v", name, err)
				}
			}
		})
	}
}

func TestLastOfTheSameNameCounts(t *testing.T) {
	a, err := index(tarOf(t, member{name: "a", data: []byte("1")}, member{name: "./a", data: []byte("2")}))
	must(t, err)
	if got := contentOf(t, a, "a"); got != "2" || !a.twice["a"] {
		t.Errorf("%q", got)
	}
}

func TestBrokenTars(t *testing.T) {
	good := tarOf(t, member{name: "a", data: bytes.Repeat([]byte("a"), 2000)}, member{name: "b", data: []byte("b")})
	sparse := gnuSparse(t)
	for name, c := range map[string]struct {
		raw  []byte
		says string
	}{
		"nothing":              {nil, "empty"},
		"only zeros":           {make([]byte, 1024), "empty"},
		"text":                 {bytes.Repeat([]byte("this is no archive\n"), 100), "not a tar"},
		"text, short":          {[]byte("no"), "not a tar"},
		"HTML":                 {[]byte("<html>" + strings.Repeat(" ", 600)), "not a tar"},
		"ends in a body":       {good[:1000], "truncated"},
		"ends in a header":     {good[:512+2048+100], "truncated"},
		"leads out":            {tarOf(t, member{name: "a/../../b"}), "leads out"},
		"leads out, a folder":  {tarOf(t, member{name: "../b/", typ: tar.TypeDir}), "leads out"},
		"absolute":             {tarOf(t, member{name: "/etc/passwd", data: []byte("x")}), "absolute"},
		"GNU sparse":           {sparse, "sparse"},
		"PAX sparse":           {paxSparse(t), "sparse"},
		"huge size":            {declare(tarOf(t, member{name: "a", data: []byte("x")}), 1<<62), "truncated"},
		"a bit more than is":   {declare(tarOf(t, member{name: "a", data: []byte("x")}), 3000), "truncated"},
		"damage in the middle": {append(append(append([]byte{}, good[:2560]...), bytes.Repeat([]byte("?"), 512)...), good[3072:]...), "behind its entry 1"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := index(c.raw)
			wantProblem(t, err, usererror.SourceBroken, c.says)
		})
	}
}

// declare gives the first header another size, and a checksum that fits.
func declare(raw []byte, size int64) []byte {
	raw = bytes.Clone(raw)
	field := raw[124:136]
	if size < 1<<33 {
		copy(field, fmt.Sprintf("%011o\x00", size))
	} else { // GNU's base-256
		clear(field)
		field[0] = 0x80
		binary.BigEndian.PutUint64(field[4:], uint64(size))
	}
	copy(raw[148:156], "        ")
	total := 0
	for _, c := range raw[:512] {
		total += int(c)
	}
	copy(raw[148:156], fmt.Sprintf("%06o\x00 ", total))
	return raw
}

func gnuSparse(t testing.TB) []byte {
	raw := tarOf(t, member{name: "a", data: []byte("x")})
	raw[156] = 'S'
	copy(raw[257:265], "ustar  \x00")
	copy(raw[386:], fmt.Sprintf("%011o\x00%011o\x00", 0, 1))
	copy(raw[483:], fmt.Sprintf("%011o\x00", 1))
	return declare(raw, 1)
}

func paxSparse(t testing.TB) []byte {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	// archive/tar refuses to write sparse records; one of the same length is renamed.
	must(t, w.WriteHeader(&tar.Header{Name: "a", Mode: 0o644, PAXRecords: map[string]string{"GNU.xparse.name": "b", "GNU.xparse.major": "1", "GNU.xparse.minor": "0"}, Format: tar.FormatPAX, Size: 512}))
	_, err := w.Write(append([]byte("0\n"), make([]byte, 510)...))
	must(t, err)
	must(t, w.Close())
	return bytes.ReplaceAll(buf.Bytes(), []byte("xparse"), []byte("sparse"))
}

func TestLinks(t *testing.T) {
	a, err := index(tarOf(t,
		member{name: "x/file", data: []byte("here")},
		member{name: "x/a", typ: tar.TypeSymlink, link: "b"}, member{name: "x/b", typ: tar.TypeSymlink, link: "./file"},
		member{name: "x/circle", typ: tar.TypeSymlink, link: "circle"},
		member{name: "x/out", typ: tar.TypeSymlink, link: "../../etc/passwd"},
		member{name: "x/absolute", typ: tar.TypeSymlink, link: "/etc/passwd"},
		member{name: "x/hard", typ: tar.TypeLink, link: "../x/file"},
		member{name: "x/dangling", typ: tar.TypeSymlink, link: "nothing"},
	))
	must(t, err)
	if contentOf(t, a, "x/a") != "here" {
		t.Error("link to a link")
	}
	for name, says := range map[string]string{"x/circle": "without end", "x/out": "leads out", "x/absolute": "leads out", "x/hard": "leads out"} {
		_, err := a.lookup(name)
		wantProblem(t, err, usererror.SourceBroken, says)
	}
	if _, err := a.lookup("x/dangling"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

func TestThousandsOfEntries(t *testing.T) {
	withoutRace(t)
	var members []member
	for n := range 20_000 {
		members = append(members, member{name: fmt.Sprintf("%05d", n), data: []byte("x")})
	}
	a, err := index(tarOf(t, members...))
	must(t, err)
	if len(a.entries) != 20_000 || contentOf(t, a, "19999") != "x" {
		t.Errorf("%d entries", len(a.entries))
	}
	// One image under so many names that comparing each with each would take minutes.
	tags := make([]string, 39_990)
	for n := range tags {
		tags[n] = fmt.Sprintf("a:%x", n)
	}
	raw, err := json.Marshal([]savedImage{{Config: "c", RepoTags: tags}})
	must(t, err)
	i, err := open(t, "docker-archive:"+writeFile(t, "image.tar", tarOf(t, member{name: "manifest.json", data: raw}, member{name: "c", data: []byte("{}")})), Options{})
	must(t, err)
	_, err = i.Root(t.Context())
	must(t, err)
	// Without end: the headers are generated while they are read.
	header := tarOf(t, member{name: "a"})[:512]
	_, err = indexTar(repeated(header), 1<<40)
	wantProblem(t, err, usererror.SourceBroken, "more than 200000 entries")
}

// repeated is a file that repeats a block without end.
type repeated []byte

func (r repeated) ReadAt(p []byte, off int64) (int, error) {
	for i := range p {
		p[i] = r[(off+int64(i))%int64(len(r))]
	}
	return len(p), nil
}

// bigTar makes a sparse file that looks like an archive with some very large layers.
func bigTar(t testing.TB, layers int, size int64) string {
	path := filepath.Join(t.TempDir(), "big.tar")
	f, err := os.Create(path)
	must(t, err)
	defer func() { must(t, f.Close()) }()
	for n := range layers {
		var buf bytes.Buffer
		must(t, tar.NewWriter(&buf).WriteHeader(&tar.Header{Name: fmt.Sprintf("blobs/sha256/%064d", n), Mode: 0o644, Size: size, Format: tar.FormatPAX, PAXRecords: map[string]string{"MINE.n": fmt.Sprint(n)}}))
		_, err := f.Write(buf.Bytes())
		must(t, err)
		_, err = f.Seek((size+511)/512*512, io.SeekCurrent)
		must(t, err)
	}
	_, err = f.Write(make([]byte, 1024))
	must(t, err)
	return path
}

// Index of an archive of 100 layers of 1 GiB: the headers alone are read.
func TestBigTarIsNotRead(t *testing.T) {
	f, err := os.Open(bigTar(t, 100, 1<<30))
	must(t, err)
	defer func() { must(t, f.Close()) }()
	info, err := f.Stat()
	must(t, err)
	c := &countingAt{at: f}
	a, err := indexTar(c, info.Size())
	must(t, err)
	if len(a.entries) != 100 {
		t.Errorf("%d entries", len(a.entries))
	}
	if c.bytes > 1<<20 {
		t.Errorf("%d bytes were read of %d", c.bytes, info.Size())
	}
}

type countingAt struct {
	at    io.ReaderAt
	bytes int64
}

func (c *countingAt) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.at.ReadAt(p, off)
	c.bytes += int64(n)
	return n, err
}

func BenchmarkIndexTar(b *testing.B) {
	for _, c := range []struct {
		layers int
		size   int64
	}{{20, 100 << 20}, {100, 1 << 30}, {2000, 1 << 10}} {
		b.Run(fmt.Sprintf("%dx%dKiB", c.layers, c.size>>10), func(b *testing.B) {
			f, err := os.Open(bigTar(b, c.layers, c.size))
			must(b, err)
			defer func() { must(b, f.Close()) }()
			info, err := f.Stat()
			must(b, err)
			b.ReportAllocs()
			for b.Loop() {
				_, err := indexTar(f, info.Size())
				must(b, err)
			}
		})
	}
}
