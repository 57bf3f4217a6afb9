package container

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/multi-registry-push/multi-registry-push/test/images"
	"github.com/multi-registry-push/multi-registry-push/test/standins"
)

// recipe says how one is run, and what must be there then.
type recipe struct {
	event   []string // what starts it, as act is told; nil: a push
	ref     string   // of that; empty: refs/heads/main
	noLogin bool     // no secrets, variables or token, as on a fork
	before  func(*testing.T, *playground)
	want    []string // REFERENCE IMAGE: what must be served, by the name that it has in made
	check   func(t *testing.T, p *playground, log string)
}

const release = "refs/tags/v1.2.0"

// actRecipes are the recipes for act, by the file's name and, after a comma, what is special.
func actRecipes() map[string]recipe {
	return map[string]recipe{
		"README": {want: both("app:1.2.0 image")},
		"bake.yml": {ref: release, want: both("api:1.2.0 api", "web:1.2.0 web"), check: func(t *testing.T, p *playground, log string) {
			says(t, log, "api is "+p.made["api"].Digest())
		}},
		"bake-matrix.yml":        {want: both("api:latest api", "worker:latest worker", "web:latest web")},
		"build-test-publish.yml": {want: []string{"ghcr.io/acme/app:latest image", "quay.io/acme/app:latest image"}, check: runsIt},
		"docker-docs.yml":        {want: both("app:latest image", "app:1.0.0 image")},
		"forgejo.yml":            {want: []string{"codeberg.org/acme/app:latest image", "docker.io/acme/app:latest image"}},
		"gitea.yml":              {want: []string{"gitea.example.com/acme/app:latest image", "docker.io/acme/app:latest image"}},
		"from-the-engine.yml": {check: func(t *testing.T, p *playground, log string) {
			runsIt(t, p, log)
			loaded := expected(t)["docker20.tar"].Docker[0]
			for _, host := range []string{"ghcr.io", "docker.io"} {
				config, layers := unpacked(t, host+"/acme/app:latest", p.inspect(t, host)...)
				if config != loaded.Config || !slices.Equal(layers, loaded.DiffIDs) {
					t.Errorf("%s serves %s %s", host, config, layers)
				}
			}
		}},
		"helm.yml": chart(),
		"job-per-registry.yml": {before: func(_ *testing.T, p *playground) { p.ecr.Add("app", standins.Repository{}) },
			want: []string{"ghcr.io/acme/app:main image", "docker.io/acme-hub/app:main image", "quay.io/acme/app:main image", ecrHost + "/app:main image"}},
		"native.yml":             {ref: release, want: both("app:v1.2.0 image")},
		"nightly.yml":            nightly(),
		"old-consumers.yml":      {want: []string{"ghcr.io/acme/app:latest docker", "registry.internal.example.com/acme/app:latest docker"}},
		"promote.yml":            promote(),
		"pull-requests.yml":      {want: both("app:main image")},
		"pull-requests.yml,fork": fork(),
		"releases-and-builds.yml": {ref: release, want: []string{"docker.io/acme/app:1.2.0 image", ecrHost + "/app:1.2.0 image", ecrHost + "/app:sha-1a2b3c4 image"},
			check: func(t *testing.T, p *playground, _ string) {
				if got := images.Digest(t, "docker.io/acme/app:sha-1a2b3c4", p.inspect(t, "docker.io")...); got != "" {
					t.Errorf("Docker Hub has the build's tag, too: %s", got)
				}
			}},
		"scan.yml":                      {want: both("app:latest image"), check: scanned},
		"self-hosted.yml":               selfHosted(),
		"several-runners.yml":           {ref: release, check: merged("1.2.0")},
		"several-runners-by-digest.yml": {ref: release, check: merged("v1.2.0")},
		"sign-and-attest.yml":           signed(),
		"skip-existing.yml":             skipExisting(),
	}
}

// both names repository:tag and image, below acme in ghcr.io and at Docker Hub.
func both(what ...string) (want []string) {
	for _, w := range what {
		want = append(want, "ghcr.io/acme/"+w, "docker.io/acme/"+w)
	}
	return want
}

// TestActRecipes lets act run what people copy: README's first example and recipes, as they
// are but for what readyForAct says. Registries have their real names, on an internet of their
// own; what other people's actions and programs do is done by those in testdata, out of
// images made here.
func TestActRecipes(t *testing.T) {
	o := newOutfit(t)
	for name, r := range actRecipes() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file, _, _ := strings.Cut(name, ",")
			text := ""
			if file == "README" {
				text = firstExample(t)
			} else {
				text = read(t, recipes+file)
			}
			p := newPlayground(t, o, text, r)
			if r.before != nil {
				r.before(t, p)
			}
			log := p.act(t, text, r)
			for _, w := range r.want {
				reference, image, _ := strings.Cut(w, " ")
				host, _, _ := strings.Cut(reference, "/")
				p.made[image].Compare(t, reference, p.inspect(t, host)...)
			}
			if r.check != nil {
				r.check(t, p, log)
			}
		})
	}
}

// TestEveryRecipeRuns: somebody runs each recipe that there is.
func TestEveryRecipeRuns(t *testing.T) {
	tried := map[string]bool{"README.md": true} // no recipe: it lists them
	for name := range actRecipes() {
		file, _, _ := strings.Cut(name, ",")
		tried[file] = true
	}
	for file := range dockerRecipes(t) {
		tried[file] = true
	}
	entries, err := os.ReadDir(recipes)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if !tried[entry.Name()] {
			t.Errorf("no test runs docs/recipes/%s: it needs a case in actRecipes or dockerRecipes", entry.Name())
		}
	}
}

func says(t *testing.T, log, text string) {
	t.Helper()
	if !strings.Contains(log, text) {
		t.Errorf("the log does not say %q:\n%s", text, log)
	}
}

// runsIt: the image ran before it was published.
func runsIt(t *testing.T, _ *playground, log string) {
	t.Helper()
	says(t, log, "hello from linux/amd64")
}

// chart: it goes to the other registries with the signature that it got when it was pushed before.
func chart() recipe {
	return recipe{
		ref: "refs/tags/chart-1.2.0",
		before: func(t *testing.T, p *playground) {
			signature := p.made["chart-signature"]
			p.made["chart"].Push(t, "ghcr.io/acme/charts/app:1.2.0", p.inspect(t, "ghcr.io")...)
			signature.Push(t, "ghcr.io/acme/charts/app@"+signature.Digest(), p.inspect(t, "ghcr.io")...)
		},
		want: []string{"docker.io/acme/app-chart:1.2.0 chart", "quay.io/acme/charts/app:1.2.0 chart"},
		check: func(t *testing.T, p *playground, _ string) {
			signature := p.made["chart-signature"]
			for host, repository := range map[string]string{"docker.io": "acme/app-chart", "quay.io": "acme/charts/app"} {
				signature.Compare(t, host+"/"+repository+"@"+signature.Digest(), p.inspect(t, host)...)
			}
		},
	}
}

// nightly: one registry has an older image and the other none.
func nightly() recipe {
	return recipe{
		event: []string{"workflow_dispatch"},
		before: func(t *testing.T, p *playground) {
			p.made["image"].Push(t, "ghcr.io/acme/app:latest", p.inspect(t, "ghcr.io")...)
			p.made["web"].Push(t, "docker.io/acme/app:latest", p.inspect(t, "docker.io")...)
		},
		want: []string{"docker.io/acme/app:latest image", "quay.io/acme/app:latest image"},
	}
}

func promote() recipe {
	return recipe{
		event: []string{"workflow_dispatch", "--input", "build=sha-1a2b3c4", "--input", "version=1.2.0"},
		before: func(t *testing.T, p *playground) {
			p.made["image"].Push(t, "ghcr.io/acme/app:sha-1a2b3c4", p.inspect(t, "ghcr.io")...)
		},
		want: append(both("app:1.2.0 image"), "quay.io/acme/app:1.2.0 image"),
	}
}

// fork: nothing has credentials, nothing is asked for, and the job is green.
func fork() recipe {
	return recipe{
		event: []string{"pull_request"}, ref: "refs/pull/7/merge", noLogin: true,
		check: func(t *testing.T, p *playground, log string) {
			says(t, log, "Nothing was published")
			if asked := p.net.Asked(); len(asked) > 0 {
				t.Errorf("asked for %q", asked)
			}
		},
	}
}

func scanned(t *testing.T, p *playground, _ string) {
	t.Helper()
	if got := read(t, p.shared+"/scanned"); got != "linux/amd64\nlinux/arm64\n" {
		t.Errorf("scanned: %q", got)
	}
}

// selfHosted: one job publishes what it built, the other from a registry.
func selfHosted() recipe {
	return recipe{
		before: func(t *testing.T, p *playground) {
			p.made["image"].Push(t, "ghcr.io/acme/app:latest", p.inspect(t, "ghcr.io")...)
		},
		want: []string{"registry.internal.example.com/acme/app:latest image", "quay.io/acme/app:latest image"},
		check: func(t *testing.T, p *playground, _ string) {
			if asked := p.net.Asked(); !slices.Contains(asked, "GET github.com"+releasePath) {
				t.Errorf("the job without Docker does not fetch the program: %q", asked)
			}
		},
	}
}

// merged: both registries serve one index of the images that the runners built.
func merged(tag string) func(*testing.T, *playground, string) {
	return func(t *testing.T, p *playground, _ string) {
		t.Helper()
		for _, host := range []string{"ghcr.io", "docker.io"} {
			mergedOf(t, host+"/acme/app:"+tag, p.inspect(t, host), p.made["amd64"], p.made["arm64"])
		}
	}
}

// signed: signature and attestation are beside the image wherever it has its tag.
func signed() recipe {
	return recipe{
		ref:  release,
		want: append(both("app:v1.2.0 image"), "quay.io/acme/app:v1.2.0 image"),
		check: func(t *testing.T, p *playground, _ string) {
			for _, host := range []string{"ghcr.io", "docker.io", "quay.io"} {
				for _, kind := range []string{"signature", "attestation"} {
					p.made[kind].Compare(t, host+"/acme/app@"+p.made[kind].Digest(), p.inspect(t, host)...)
				}
			}
		},
	}
}

// skipExisting: of two services one has a new version.
func skipExisting() recipe {
	return recipe{
		before: func(t *testing.T, p *playground) {
			for _, host := range []string{"ghcr.io", "docker.io"} {
				for _, tag := range []string{"1.0.0", "latest"} {
					p.made["worker"].Push(t, host+"/acme/api:"+tag, p.inspect(t, host)...)
				}
			}
		},
		want: both("api:1.0.0 worker", "api:latest worker", "web:1.2.0 web", "web:latest web"),
	}
}

// firstExample is the first block of YAML in README, as a job.
func firstExample(t *testing.T) string {
	t.Helper()
	steps := between(t, "../../README.md", "```yaml\n", "```")
	return "name: Publish\non: push\njobs:\n  publish:\n    runs-on: ubuntu-latest\n    steps:\n" +
		"      " + strings.TrimSpace(strings.ReplaceAll(steps, "\n", "\n      ")) + "\n"
}

// mergedOf fails the test unless the reference serves an index of exactly these images' manifests.
func mergedOf(t *testing.T, reference string, inspect []remote.Option, parts ...*images.Image) {
	t.Helper()
	got, err := images.Fetch(reference, inspect...)
	if err != nil {
		t.Error(err)
		return
	}
	manifests := map[string]bool{}
	for _, m := range got.Manifests {
		manifests[m.Descriptor.Digest.String()] = true
	}
	count := 0
	for _, part := range parts {
		for _, m := range part.Manifests {
			if m.Descriptor.MediaType.IsIndex() {
				continue // its entries are in the one of all parts
			}
			count++
			if !manifests[m.Descriptor.Digest.String()] {
				t.Errorf("%s does not hold %s", reference, m.Descriptor.Digest)
			}
		}
	}
	if !got.Root.MediaType.IsIndex() || len(got.Manifests) != count+1 {
		t.Errorf("%s is %s with %d manifests, want an index and %d", reference, got.Root.MediaType, len(got.Manifests), count)
	}
}
