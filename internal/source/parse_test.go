package source

import (
	"os"
	"strings"
	"testing"

	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

func TestParse(t *testing.T) {
	hex := strings.Repeat("a", 64)
	for value, want := range map[string]Spec{
		"docker://nginx":                   {Kind: Registry, Name: "docker.io/library/nginx:latest"},
		"docker://me/app:1":                {Kind: Registry, Name: "docker.io/me/app:1"},
		"docker://ghcr.io/me/app":          {Kind: Registry, Name: "ghcr.io/me/app:latest"},
		"  ghcr.io/me/app:1 \n":            {Kind: Registry, Name: "ghcr.io/me/app:1"},
		"localhost:5000/app@sha256:" + hex: {Kind: Registry, Name: "localhost:5000/app@sha256:" + hex},
		"ghcr.io/me/app:1@sha256:" + hex:   {Kind: Registry, Name: "ghcr.io/me/app@sha256:" + hex},
		"localhost/app:1":                  {Kind: Registry, Name: "localhost/app:1"},
		"index.docker.io/me/app:1":         {Kind: Registry, Name: "docker.io/me/app:1"},
		"ghcr.io/me/app.x:1.tar.gz2":       {Kind: Registry, Name: "ghcr.io/me/app.x:1.tar.gz2"},
		"oci:out":                          {Kind: Layout, Path: "out"},
		"oci:out:1":                        {Kind: Layout, Path: "out:1"},
		"oci-archive:/a/b.tar":             {Kind: LayoutArchive, Path: "/a/b.tar"},
		"docker-archive:b.tar:app:1":       {Kind: DockerArchive, Path: "b.tar:app:1"},
		"docker-daemon:app":                {Kind: DockerDaemon, Name: "app"},
		"docker-daemon:app:1":              {Kind: DockerDaemon, Name: "app:1"},
		"docker-daemon:sha256:" + hex:      {Kind: DockerDaemon, Name: "sha256:" + hex},
		"docker-daemon:0123456789ab":       {Kind: DockerDaemon, Name: "0123456789ab"},
		"docker-daemon:app@sha256:" + hex:  {Kind: DockerDaemon, Name: "app@sha256:" + hex},
		"/a":                               {Kind: BarePath, Path: "/a"},
		"./a":                              {Kind: BarePath, Path: "./a"},
		"../a":                             {Kind: BarePath, Path: "../a"},
		"./a:b:1":                          {Kind: BarePath, Path: "./a:b:1"},
		"image.tar":                        {Kind: BarePath, Path: "image.tar"},
		"out/image.tar.gz":                 {Kind: BarePath, Path: "out/image.tar.gz"},
		"image.tgz":                        {Kind: BarePath, Path: "image.tgz"},
		"image.tar.zst":                    {Kind: BarePath, Path: "image.tar.zst"},
		"out/image.tar:1.0":                {Kind: BarePath, Path: "out/image.tar:1.0"},
		"dir.with.dot/image.tar:v1":        {Kind: BarePath, Path: "dir.with.dot/image.tar:v1"},
	} {
		got, err := Parse(value, Paths{Exists: func(string) bool { return false }})
		if err != nil {
			t.Errorf("%s: %v", value, err)
			continue
		}
		if got.Kind == Registry {
			got.Name = got.Reference.String()
			if r := got.Repository(); r == nil || r.String() != got.Reference.Repository.String() {
				t.Errorf("%s: repository %v", value, r)
			}
		} else if got.Repository() != nil {
			t.Errorf("%s: has a repository", value)
		}
		if got.Kind != want.Kind || got.Name != want.Name || got.Path != want.Path || got.Text != strings.TrimSpace(value) {
			t.Errorf("%s: %+v, want %+v", value, got, want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for value, says := range map[string]string{
		"":                         "empty",
		"  ":                       "empty",
		"nginx":                    "docker://nginx",
		"nginx:1":                  "docker://nginx:1",
		"me/app:1":                 "docker://me/app:1",
		"image":                    "./image",
		"ghcr.io/me/app@":          "digest",
		"docker://ghcr.io/me/app@": "digest",
		"ghcr.io/me/app@sha256:":   "digest",
		"ghcr.io/me/app:":          "tag",
		"docker-daemon:app:":       "tag",
		"docker-daemon:app@":       "digest",
		"docker-daemon:":           "no reference",
		"docker-daemon:sha256:xyz": "hexadecimal",
		"docker-daemon:App":        "docker images",
		"docker://":                "no reference",
		"docker:///me/app:1":       "host",
		"docker://ghcr.io/Me/App":  "lower case",
		"ghcr.io/me/app@sha256:12": "digest",
		"oci:":                     "no path",
		"oci::1":                   "no path",
		"oci-archive:":             "no path",
		"https://ghcr.io/me/app":   "docker://",
		"docker:nginx":             "docker://nginx",
		"a\nb":                     "one line",

		"me:hunter22@ghcr.io/app":                 "credentials",
		"https://me:hunter22@ghcr.io/app":         "credentials",
		"docker://hunter22@ghcr.io/app:1@":        "credentials",
		"docker-daemon:me:hunter22@ghcr.io/app:1": "credentials",
	} {
		_, err := Parse(value, Paths{Exists: func(string) bool { return false }})
		wantProblem(t, err, usererror.InvalidSource, says)
		if text := err.Error() + usererror.Advice(err); strings.Contains(text, "hunter22") {
			t.Errorf("%q is repeated: %s", value, text)
		}
	}
}

// A typo must never fetch a stranger's image.
func TestBareValueThatIsAFile(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, name := range []string{"image", "registry.example"} {
		must(t, os.WriteFile(name, nil, 0o600))
	}
	must(t, os.MkdirAll("my.dir/app", 0o700))
	for _, value := range []string{"image", "registry.example", "my.dir/app", "my.dir/app:1", "registry.example:1"} {
		_, err := Parse(value, Paths{})
		wantProblem(t, err, usererror.InvalidSource, "./"+value, "docker://"+value)
	}
}

func TestPaths(t *testing.T) {
	work := "/home/runner/work"
	there := map[string]bool{"/github/workspace": true, work + "/app/app/here": true}
	p := Paths{Container: true, Exists: func(s string) bool { return there[s] }, Folders: map[string]string{
		work + "/app/app": "/github/workspace", "/__w/app/app": "/github/workspace", work + "/_temp": "/github/runner_temp", "/__w/_temp": "/github/runner_temp",
	}}
	for path, want := range map[string]string{
		work + "/app/app/out/image.tar": "/github/workspace/out/image.tar",
		work + "/app/app":               "/github/workspace",
		work + "/app/app:1":             "/github/workspace:1",
		work + "/app/apple/image.tar":   work + "/app/apple/image.tar",
		work + "/_temp/image.tar":       "/github/runner_temp/image.tar",
		"/__w/app/app/image.tar":        "/github/workspace/image.tar",
		"/__w/_temp/image.tar":          "/github/runner_temp/image.tar",
		"/github/workspace/image.tar":   "/github/workspace/image.tar",
		"/elsewhere/image.tar":          "/elsewhere/image.tar",
		"image.tar":                     "image.tar",
		work + "/app/app/here":          work + "/app/app/here",
	} {
		if got := p.Map(path); got != want {
			t.Errorf("%s is mapped to %s, want %s", path, got, want)
		}
		// The runner rewrites only values that begin with a folder; inside longer ones we do.
		spec, err := Parse("oci-archive:"+path, p)
		if err != nil || spec.Path != want {
			t.Errorf("oci-archive:%s is %s, %v", path, spec.Path, err)
		}
	}

	// Outside of a container action nothing is mapped.
	if got := (Paths{}).Map(work + "/app/app/image.tar"); got != work+"/app/app/image.tar" {
		t.Error(got)
	}
}

func TestMissingPathNamesTheFoldersAnActionSees(t *testing.T) {
	for _, value := range []string{"/elsewhere/image.tar", "oci:/elsewhere/out:1", "docker-archive:x.tar"} {
		for _, seen := range [][]string{{"/github/workspace", "/github/runner_temp"}, {"/home/me/app"}} {
			_, err := open(t, value, Options{Paths: Paths{Seen: seen}})
			wantProblem(t, err, usererror.SourceNotFound, append(seen, "is not there")...)
		}
	}
}

// A container of somebody's own sees what is mounted; a shell outside of any is told nothing of that.
func TestMissingPathSpeaksOfMountsInContainersAlone(t *testing.T) {
	for _, contained := range []bool{true, false} {
		_, err := open(t, "./elsewhere.tar", Options{Paths: Paths{Contained: contained}})
		advice := usererror.Advice(err)
		if strings.Contains(advice, "mounted") != contained || !strings.Contains(advice, "Relative paths start at /") {
			t.Errorf("contained %t: %q", contained, advice)
		}
	}
}

func TestPathWithColons(t *testing.T) {
	b := newBuilder(t)
	root := b.image("linux/amd64", b.layer("a"))
	raw := tarOf(t, b.files(named(root, refName, "1:x"))...)
	dir := t.TempDir()
	must(t, os.WriteFile(dir+"/a:b.tar", raw, 0o600))
	for _, value := range []string{dir + "/a:b.tar", dir + "/a:b.tar:1:x", "oci-archive:" + dir + "/a:b.tar:1:x"} {
		_, got := mustOpen(t, value, Options{})
		if got.Descriptor.Digest != root.Digest {
			t.Errorf("%s opens %s", value, got.Descriptor.Digest)
		}
	}
	_, err := open(t, dir+"/a:b.tar:", Options{})
	wantProblem(t, err, usererror.InvalidSource, "tag")
	_, err = open(t, dir+"/a:b.tar:y", Options{})
	wantProblem(t, err, usererror.SourceNotFound, "1:x")
}
