package container

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/multi-registry-push/multi-registry-push/test/images"
	"github.com/multi-registry-push/multi-registry-push/test/servers"
)

// platforms are images of one platform each, by their file, as the jobs of several runners leave
// them.
var platforms = map[string]string{"amd64": "linux/amd64", "arm64": "linux/arm64"}

// TestActRecipes lets act run what people copy: README's first example and recipes, with our step
// as it is. What other actions do before it (build, compute tags, hand over artifacts) is
// done by shell, from images made here; the names of registries are those of servers on loopback.
// act's containers share the workspace alone, so that it stands in for ${{ runner.temp }}, as README says.
func TestActRecipes(t *testing.T) {
	act := servers.Require(t, "act")
	actionImage(t) // skips where there is no engine; the build is in its cache then
	for name, c := range map[string]struct {
		workflow string
		drop     string   // a job that runs before, on other machines
		want     []string // repositories
		merged   bool     // of amd64.tar and arm64.tar
	}{
		"README":   {workflow: firstExample(t), want: []string{"acme/app"}},
		"bake.yml": {workflow: read(t, "../../docs/recipes/bake.yml"), want: []string{"acme/api", "acme/web"}},
		"several-runners.yml": {workflow: read(t, "../../docs/recipes/several-runners.yml"), drop: "build",
			want: []string{"acme/app"}, merged: true},
	} {
		t.Run(name, func(t *testing.T) {
			first, second, contexts := job(t)
			repository := sources(t)
			built := map[string]*images.Image{}
			for i, file := range []string{"image", "api", "web"} {
				built[file] = images.Build(images.Options{Seed: uint64(i) + 1, Platforms: []string{"linux/amd64", "linux/arm64"}})
				copyFile(t, built[file].Archive(t), filepath.Join(repository, "made-"+file+".tar"))
			}
			for file, platform := range platforms {
				built[file] = images.Build(images.Options{Seed: uint64(len(file)), Platforms: []string{platform}})
				copyFile(t, built[file].Archive(t), filepath.Join(repository, "made-"+file+".tar"))
			}
			write(t, filepath.Join(repository, "recipe.yml"), forAct(t, c.workflow, c.drop, first, second))
			write(t, filepath.Join(repository, "secrets"), secretsFile(contexts))
			out, err := inContainers(t, act, repository, "recipe.yml")
			if err != nil {
				t.Fatalf("act: %v\n%s", err, out)
			}
			for _, repo := range c.want {
				for _, s := range []*servers.Server{first, second} {
					reference := s.Reference(repo, "1.2.0")
					switch file := strings.TrimPrefix(repo, "acme/"); {
					case c.merged:
						mergedOf(t, reference, s, built["amd64"], built["arm64"])
					case file == "app":
						built["image"].Compare(t, reference, s.Inspect()...)
					default:
						built[file].Compare(t, reference, s.Inspect()...)
					}
				}
			}
		})
	}
}

// firstExample is the first block of YAML in README, as a job.
func firstExample(t *testing.T) string {
	t.Helper()
	steps := between(t, "../../README.md", "```yaml\n", "```")
	return "on: push\njobs:\n  publish:\n    runs-on: ubuntu-latest\n    steps:\n    - uses: actions/checkout@v7\n" +
		"    " + strings.TrimSpace(strings.ReplaceAll(steps, "\n", "\n    ")) + "\n"
}

// forAct makes of a workflow what act can run here: see TestActRecipes.
func forAct(t *testing.T, text, drop string, first, second *servers.Server) string {
	t.Helper()
	item := func(s *servers.Server, secret string) string {
		return fmt.Sprintf("- registry: %s\n  username: %s\n  password: ${{ toJSON(secrets.%s) }}\n",
			s.Host, s.Users[0].Name, secret)
	}
	text = strings.NewReplacer("${{ runner.temp }}", "${{ github.workspace }}",
		"ghcr.io", first.Host, "docker.io", second.Host).Replace(text)
	var workflow map[string]any
	if err := yaml.Unmarshal([]byte(text), &workflow); err != nil {
		t.Fatal(err)
	}
	workflow["on"] = "push"
	workflow["defaults"] = map[string]any{"run": map[string]any{"shell": "sh"}} // the base image has no bash
	jobs := workflow["jobs"].(map[string]any)
	delete(jobs, drop)
	for _, one := range jobs {
		job := one.(map[string]any)
		delete(job, "needs")
		steps := []any{}
		if drop != "" {
			steps = append(steps, map[string]any{"uses": "actions/checkout@v7"}) // for the images made here
		}
		for _, s := range job["steps"].([]any) {
			step := s.(map[string]any)
			uses, _ := step["uses"].(string)
			with, _ := step["with"].(map[string]any)
			action, _, _ := strings.Cut(uses, "@")
			switch action {
			case "", "actions/checkout":
			case "multi-registry-push/multi-registry-push":
				step["uses"] = "./"
				with["registry-auth"] = item(first, "FIRST_PASSWORD") + item(second, "SECOND_PASSWORD")
			default:
				delete(step, "uses")
				delete(step, "with")
				step["run"] = inShell(t, action, with)
			}
			steps = append(steps, step)
		}
		job["steps"] = steps
	}
	out, err := yaml.Marshal(workflow)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

var destination = regexp.MustCompile(`dest=(.*?/(\w+)\.tar)`)

// inShell does what an action of others would have done for ours.
func inShell(t *testing.T, action string, with map[string]any) string {
	t.Helper()
	script := ""
	switch action {
	case "docker/setup-buildx-action":
		script = "true"
	case "docker/build-push-action", "docker/bake-action":
		for _, m := range destination.FindAllStringSubmatch(fmt.Sprint(with["outputs"], with["set"]), -1) {
			script += fmt.Sprintf("cp made-%s.tar '%s'\n", m[2], m[1])
		}
	case "actions/download-artifact":
		script = fmt.Sprintf("mkdir -p '%[1]s'\ncp made-amd64.tar '%[1]s/amd64.tar'\ncp made-arm64.tar '%[1]s/arm64.tar'\n", with["path"])
	case "docker/metadata-action":
		script = "{ echo 'tags<<END'\n"
		for _, image := range strings.Fields(fmt.Sprint(with["images"])) {
			script += "echo " + image + ":1.2.0\n"
		}
		script += "echo END\necho 'annotations=index:org.opencontainers.image.version=1.2.0'\n} >>\"$GITHUB_OUTPUT\"\n"
	}
	if script == "" {
		t.Fatalf("nothing stands in for %s", action)
	}
	return script
}

// mergedOf fails the test unless the reference serves an index of exactly these images' manifests.
func mergedOf(t *testing.T, reference string, s *servers.Server, parts ...*images.Image) {
	t.Helper()
	got, err := images.Fetch(reference, s.Inspect()...)
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
