package auth

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/multi-registry-push/multi-registry-push/test/standins"
)

var (
	block      = regexp.MustCompile("(?s)```yaml\n(.*?)```")
	asJSON     = regexp.MustCompile(`\$\{\{ *toJSON\([^)]*\) *\}\}`)
	expression = regexp.MustCompile(`\$\{\{.*?\}\}`)
)

// The workflows of docs/registries have no step but checkout, build and ours, or ours alone where
// they mirror an image, and are green where no secret is set: what is in them is understood, and
// skipped.
func TestPages(t *testing.T) {
	pages, err := filepath.Glob("../../docs/registries/*.md")
	if err != nil || len(pages) < 16 {
		t.Fatalf("%d pages, %v", len(pages), err)
	}
	n := standins.NewInternet(t)
	g := standins.NewGitHub(t, n)
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		blocks := block.FindAllStringSubmatch(string(text), -1)
		if len(blocks) == 0 && filepath.Base(page) != "README.md" {
			t.Errorf("%s has no workflow", page)
		}
		for _, b := range blocks {
			t.Run(filepath.Base(page), func(t *testing.T) { workflow(t, n, g, b[1]) })
		}
	}
	if len(n.Asked())+len(n.Strangers()) > 0 {
		t.Errorf("asked %v, %v", n.Asked(), n.Strangers())
	}
}

func workflow(t *testing.T, n *standins.Internet, g *standins.GitHub, text string) {
	var file struct {
		Jobs map[string]struct {
			Permissions map[string]string
			Steps       []struct {
				Uses, Run string
				Env, With map[string]string
			}
		}
	}
	if err := yaml.Unmarshal([]byte(text), &file); err != nil {
		t.Fatal(err)
	}
	job, builds := file.Jobs["publish"]
	if !builds {
		job = file.Jobs["mirror"]
	}
	for i := range job.Steps { // on Forgejo, actions are named with their server
		job.Steps[i].Uses = strings.TrimPrefix(job.Steps[i].Uses, "https://github.com/")
	}
	last := len(job.Steps) - 1
	if last < 0 || job.Steps[last].Uses != "multi-registry-push/multi-registry-push@v1" || builds != (last == 2) ||
		builds && (!strings.HasPrefix(job.Steps[0].Uses, "actions/checkout@") || !strings.HasPrefix(job.Steps[1].Run, "docker build ")) {
		t.Fatalf("steps: %+v", job.Steps)
	}
	step := job.Steps[last]
	unset := func(s string) string {
		return expression.ReplaceAllString(asJSON.ReplaceAllString(s, "null"), "")
	}
	keyless := regexp.MustCompile(strings.Join(standins.KeylessKeys(), "|")).MatchString(step.With["registry-auth"])
	if got := job.Permissions["id-token"] == "write"; got != keyless {
		t.Errorf("id-token: write is %v", got)
	}
	// A fork's job has neither secrets nor OIDC variables.
	r := run{tags: step.With["tags"], items: unset(step.With["registry-auth"]), fork: true}
	for name, value := range step.Env {
		r.env = append(r.env, name+"="+unset(value))
	}
	for name, value := range step.With {
		if name != "registry-auth" && name != "tags" && (name != "source" || !builds) {
			r.env = append(r.env, "INPUT_"+strings.ToUpper(name)+"="+unset(value))
		}
	}
	o := r.do(t, n, g)
	if got := o.registry(t); o.status != 0 || got.Status != "skipped" {
		t.Errorf("exit status %d, %s: %s\n%s", o.status, got.Status, got.Reason, o.log)
	}
}
