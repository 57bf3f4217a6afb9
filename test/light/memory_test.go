package light_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
)

// watched is a registry that reads its client's VmHWM whenever it is asked about a manifest, which
// is before and after all blobs.
type watched struct {
	next http.Handler
	pid  *atomic.Int64
	peak *atomic.Int64 // bytes
}

var highWater = regexp.MustCompile(`VmHWM:\s*(\d+) kB`)

func (w watched) ServeHTTP(out http.ResponseWriter, r *http.Request) {
	if strings.Contains(r.URL.Path, "/manifests/") {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", w.pid.Load()))
		if found := highWater.FindSubmatch(status); err == nil && found != nil {
			if kib, err := strconv.ParseInt(string(found[1]), 10, 64); err == nil {
				w.peak.Store(max(w.peak.Load(), kib<<10))
			}
		}
	}
	w.next.ServeHTTP(out, r)
}

// Memory grows with registries by what is in flight to each, and not with the image: below 80 MiB
// for 16 of them, and by less than 3 MiB for each. It is that of the program's own process.
func TestMemoryOfManyRegistries(t *testing.T) {
	binary, source := build(t), start(t)
	source.image(t, 12, 1, 4<<20)
	one, sixteen := peak(t, binary, source, 1, 1), peak(t, binary, source, 16, 1)
	each := (sixteen - one) / 15
	t.Logf("%d KiB to one registry, %d KiB to 16, %d KiB for each", one>>10, sixteen>>10, each>>10)
	if one == 0 || sixteen >= 80<<20 || each >= 3<<20 {
		t.Errorf("the peak is %d KiB, and grows by %d KiB a registry", sixteen>>10, each>>10)
	}
}

// A release of 40 images to 4 registries in one step stays within 120 MiB.
func TestMemoryOfManyImages(t *testing.T) {
	binary, source := build(t), start(t)
	for i := range 40 {
		source.imageAs(t, tagOf(i), 3, 2, 2<<20+int64(i)*100)
	}
	most := peak(t, binary, source, 4, 40)
	t.Logf("%d KiB for 40 images to 4 registries", most>>10)
	if most == 0 || most >= 120<<20 {
		t.Errorf("the peak is %d KiB", most>>10)
	}
}

// tagOf is the tag of an image in the source.
func tagOf(i int) string { return strconv.Itoa(i + 1) }

// build builds the program and returns its path.
func build(t *testing.T) string {
	t.Helper()
	if _, err := os.Stat("/proc/self/status"); err != nil {
		t.Skip("the peak of a process is in /proc, which Linux has")
	}
	binary := filepath.Join(t.TempDir(), "multi-registry-push")
	command := exec.CommandContext(t.Context(), "go", "build", "-o", binary, ".")
	command.Dir = "../.."
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return binary
}

// peak publishes images to new registries, in one step, and returns the VmHWM of the program
// in bytes.
func peak(t *testing.T, binary string, source *place, registries, images int) int64 {
	t.Helper()
	var pid, most atomic.Int64
	auth := fmt.Sprintf("- registry: %s\n  anonymous: true\n", source.host)
	type item struct {
		Name   string   `json:"name"`
		Source string   `json:"source"`
		Tags   []string `json:"tags"`
	}
	items := make([]item, images)
	for _, p := range several(t, registries) {
		s := httptest.NewServer(watched{p.Counter, &pid, &most})
		t.Cleanup(s.Close)
		host := strings.TrimPrefix(s.URL, "http://")
		auth += fmt.Sprintf("- registry: %s\n  anonymous: true\n", host)
		for i := range items {
			from := "docker://" + source.host + "/app:" + tagOf(i)
			items[i] = item{"app" + tagOf(i), from, append(items[i].Tags, host+"/app"+tagOf(i)+":1")}
		}
	}
	raw, err := json.Marshal(items)
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	var out strings.Builder
	command := exec.CommandContext(t.Context(), binary, "--images", string(raw), "--registry-auth", "-", "--summary", "false")
	command.Env = []string{"HOME=" + folder, "TMPDIR=" + folder}
	command.Stdin, command.Stdout, command.Stderr = strings.NewReader(auth), &out, &out
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	pid.Store(int64(command.Process.Pid))
	if err := command.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	return most.Load()
}
