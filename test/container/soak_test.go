package container

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	program "github.com/multi-registry-push/multi-registry-push/internal/app"
	"github.com/multi-registry-push/multi-registry-push/test/images"
	"github.com/multi-registry-push/multi-registry-push/test/servers"
)

// state is what a run must give back.
type state struct {
	goroutines, descriptors, files int
	heap                           int64 // bytes
}

func (s state) String() string {
	return fmt.Sprintf("%d goroutines, %d file descriptors, %d temporary files, %d KiB of heap", s.goroutines, s.descriptors, s.files, s.heap>>10)
}

func stateNow(t *testing.T, temporary string) state {
	t.Helper()
	runtime.GC()
	runtime.GC() // what finalizers have let go
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	descriptors, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("needs /proc/self/fd")
	}
	left, err := os.ReadDir(temporary)
	if err != nil {
		t.Fatal(err)
	}
	return state{runtime.NumGoroutine(), len(descriptors), len(left), int64(memory.HeapAlloc)}
}

// TestSoak publishes again and again in one process, from an archive, an archive of the
// engine, a registry, and two images of which one is merged, in turn: 500 times with SOAK=1. Goroutines, file
// descriptors, temporary files and memory end where they began.
func TestSoak(t *testing.T) {
	runs := 15
	if os.Getenv("SOAK") != "" {
		runs = 500
	}
	first := servers.Distribution2(t, servers.Options{})
	second := servers.Olareg(t, servers.Options{Folder: t.TempDir()})
	definition := []byte(read(t, "../../action.yml"))
	home, temporary, folder := t.TempDir(), t.TempDir(), t.TempDir()
	auth := filepath.Join(folder, "auth.yml")
	write(t, auth, first.Item(0)+second.Item(0))

	publish := func(i int) {
		image := images.Build(images.Options{LayerBytes: 4 << 10, Seed: uint64(i) + 1})
		source := "docker-archive:" + fixture(t, "docker20.tar")
		switch i % 4 {
		case 0:
			archive := filepath.Join(folder, "image.tar")
			file, err := os.Create(archive)
			if err != nil {
				t.Fatal(err)
			}
			if err := image.WriteArchive(file); err != nil {
				t.Fatal(err)
			}
			if err := file.Close(); err != nil {
				t.Fatal(err)
			}
			source = "oci-archive:" + archive
		case 1:
			source = first.Reference("built/app", "latest")
			image.Push(t, source, first.Inspect()...)
		}
		repository := fmt.Sprintf("acme/app%d", i%7)
		what := []string{"--source", source, "--tags", first.Reference(repository, "1") + "," + second.Reference(repository, "1")}
		if i%4 == 3 {
			what = []string{"--images", twoImages(t, folder, i, source, repository, first, second)}
		}
		var out bytes.Buffer
		status := program.Main(t.Context(), program.Env{
			Args:       append(what, "--registry-auth", "@"+auth),
			Environ:    []string{"HOME=" + home, "TMPDIR=" + temporary},
			Stdin:      strings.NewReader(""),
			Stdout:     &out,
			Stderr:     &out,
			Definition: definition,
		})
		if status != 0 {
			t.Fatalf("run %d: exit status %d\n%s", i, status, out.String())
		}
		first.Log.Reset()
		second.Log.Reset()
	}

	const warm = 10
	for i := range warm {
		publish(i)
	}
	before := stateNow(t, temporary)
	for i := range runs {
		publish(warm + i)
	}
	after := stateNow(t, temporary)
	t.Logf("before: %v", before)
	t.Logf("after %d: %v", runs, after)
	// Connections that the servers are about to close count for a while: some goroutines
	// and descriptors more or less, whatever the number of runs.
	const some = 12
	if after.goroutines > before.goroutines+some || after.descriptors > before.descriptors+some {
		t.Errorf("goroutines or file descriptors are left: %v, before: %v", after, before)
	}
	if after.files != before.files {
		t.Errorf("temporary files are left: %v, before: %v", after, before)
	}
	if after.heap > before.heap+8<<20 {
		t.Errorf("memory grows: %v, before: %v", after, before)
	}
}

// twoImages returns the input images: one from source, and one that is merged from two archives.
func twoImages(t *testing.T, folder string, run int, source, repository string, to ...*servers.Server) string {
	t.Helper()
	var parts, tags [2]string
	for i, platform := range []string{"linux/amd64", "linux/arm64"} {
		part := images.Build(images.Options{LayerBytes: 4 << 10, Seed: uint64(run), Platforms: []string{platform}})
		var archive bytes.Buffer
		if err := part.WriteArchive(&archive); err != nil {
			t.Fatal(err)
		}
		parts[i] = filepath.Join(folder, fmt.Sprintf("part%d.tar", i))
		write(t, parts[i], archive.String())
		tags[i] = fmt.Sprintf("[%s, %s]", to[0].Reference(repository, fmt.Sprint(i)), to[1].Reference(repository, fmt.Sprint(i)))
	}
	return fmt.Sprintf("- {name: one, source: %q, tags: %s}\n- {name: merged, source: %q, tags: %s}\n",
		source, tags[0], parts[0]+"\n"+parts[1], tags[1])
}
