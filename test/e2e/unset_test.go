package e2e

import (
	"cmp"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/multi-registry-push/multi-registry-push/internal/report"
	"github.com/multi-registry-push/multi-registry-push/test/images"
	"github.com/multi-registry-push/multi-registry-push/test/servers"
)

// Every row of "Unset means skipped": the step is green, the other registry gets the image,
// what is left out is said; with missing-credentials: fail it is an error, and nothing is sent.
func TestUnsetMeansSkipped(t *testing.T) {
	image := images.Build(images.Options{Single: true, Layers: 1})
	archive := image.Archive(t)
	for _, c := range []struct {
		name string
		item string // of registry HOST; none if empty
		line string // of tags; HOST/acme/app:1 if empty
		says string
		gone bool // no registry to report on: the destination names none

		names string // the registry that the line still names; HOST if empty
	}{
		{name: "no item", says: "no credentials"},
		{name: "username empty", item: "- registry: HOST\n  username: \"\"\n  password: x1234\n", says: "username in registry-auth is empty"},
		{name: "password empty", item: "- registry: HOST\n  username: acme\n  password: \"\"\n", says: "password in registry-auth is empty"},
		{name: "both empty, nothing behind the colon", item: "- registry: HOST\n  username:\n  password:\n", says: "empty"},
		{name: "password null, of toJSON", item: "- registry: HOST\n  username: acme\n  password: null\n", says: "password in registry-auth is empty"},
		{name: "username null", item: "- registry: HOST\n  username: null\n  password: x1234\n", says: "username in registry-auth is empty"},
		{name: "aws-role empty", item: "- registry: HOST\n  aws-role: \"\"\n", says: "aws-role in registry-auth is empty"},
		{name: "registry empty", item: "- registry: \"\"\n  username: acme\n  password: x1234\n", says: "registry"},
		{name: "registry null", item: "- registry: null\n  username: acme\n  password: x1234\n", says: "registry"},
		{name: "empty component", line: "/app:1", says: "/app:1", gone: true},
		{name: "empty component in the middle", line: "docker.io//app:1", says: "docker.io//app:1", names: "docker.io"},
	} {
		t.Run(c.name, func(t *testing.T) {
			unset, set := servers.Olareg(t, servers.Options{}), servers.Olareg(t, servers.Options{})
			line := unset.Reference("acme/app", "1")
			if c.line != "" {
				line = c.line
			}
			j := job{source: archive, tags: []string{line, set.Reference("acme/app", "1")},
				auth: set.Item(0) + strings.ReplaceAll(c.item, "HOST", unset.Host)}
			o := j.run(t).exits(0).says(c.says, "::notice")
			image.Compare(t, set.Reference("acme/app", "1"), set.Inspect()...)
			want := map[string]report.Status{set.Host: report.Pushed}
			if !c.gone {
				skipped := cmp.Or(c.names, unset.Host)
				want[skipped] = report.Skipped
				if o.outputs["skipped"] != skipped {
					t.Errorf("skipped: %q", o.outputs["skipped"])
				}
			}
			o.has(want)
			if len(unset.Log.All()) > 0 {
				t.Errorf("the registry without credentials was asked:\n%s", unset.Log)
			}

			set.Log.Reset()
			j.inputs = map[string]string{"missing-credentials": "fail"}
			j.run(t).exits(1).says("::error", "missing-credentials")
			if len(set.Log.All())+len(unset.Log.All()) > 0 {
				t.Errorf("sent although credentials are missing:\n%s%s", set.Log, unset.Log)
			}
		})
	}
}

// The source's own credentials may be unset, too: it is read without a login, which is said
// also where the registry lets nobody; with missing-credentials: fail nothing is sent.
func TestUnsetCredentialsOfTheSource(t *testing.T) {
	image := images.Build(images.Options{Single: true, Layers: 1})
	to := servers.Olareg(t, servers.Options{})
	open := servers.Olareg(t, servers.Options{Auth: servers.Token, AnonymousPull: true})
	basic, closed := servers.Olareg(t, servers.Options{}), servers.Olareg(t, servers.Options{Auth: servers.Token})
	for s, exit := range map[*servers.Server]int{open: 0, basic: 1, closed: 1} {
		image.Push(t, s.Reference("acme/built", "1"), s.Inspect()...)
		empty := "- registry: " + s.Host + "\n  username: acme\n  password: \"\"\n"
		j := job{source: s.Reference("acme/built", "1"), tags: []string{to.Reference("acme/app", "1")}, auth: to.Item(0) + empty}
		o := j.run(t).exits(exit)
		if exit != 0 {
			o.says("[no-pull-permission]", "The source was asked for without a login (password in registry-auth is empty (item in line 4))")
		}
		o.says("::notice title=Item not configured::", "registry-auth, line 4: ", s.Host, "password in registry-auth is empty")
		to.Log.Reset()
		s.Log.Reset()
		j.inputs = map[string]string{"missing-credentials": "fail"}
		j.run(t).exits(1).says("::error", "missing-credentials is fail")
		if len(to.Log.All())+len(s.Log.All()) > 0 {
			t.Errorf("sent although credentials are missing:\n%s%s", to.Log, s.Log)
		}
		j.auth = to.Item(0) + empty + "  required: false\n"
		j.run(t).exits(exit)
	}
}

func TestAllSkippedIsGreenAndNeedsNoSource(t *testing.T) {
	s := servers.Olareg(t, servers.Options{})
	for _, source := range []string{"docker://registry.example.com/acme/app@", "./not-there.tar", "%%%"} {
		o := job{source: source, tags: []string{s.Reference("acme/app", "1")}}.run(t)
		o.exits(0).has(map[string]report.Status{s.Host: report.Skipped}).says("::warning")
		if d, ok := o.outputs["digest"]; !ok || d != "" {
			t.Errorf("%s: digest %q %v", source, d, ok)
		}
	}
}

func TestNoTags(t *testing.T) {
	o := job{source: "%%%", tags: nil, auth: "- registry: ghcr.io\n  username: u\n  password: x1234\n"}.run(t)
	o.exits(0).says("::warning", "tags")
	for _, name := range []string{"digest", "pushed", "skipped", "failed", "results"} {
		if _, ok := o.outputs[name]; !ok {
			t.Errorf("output %s is not set", name)
		}
	}
}

// A required item without credentials is an error, one that is not required never is.
func TestRequired(t *testing.T) {
	archive := images.Build(images.Options{Single: true, Layers: 1}).Archive(t)
	s, other := servers.Olareg(t, servers.Options{}), servers.Olareg(t, servers.Options{})
	tags := []string{s.Reference("acme/app", "1"), other.Reference("acme/app", "1")}
	empty := "- registry: " + s.Host + "\n  username: acme\n  password:\n  required: "
	job{source: archive, tags: tags, auth: empty + "true\n" + other.Item(0)}.run(t).exits(1).says("required")
	job{source: archive, tags: tags, auth: empty + "false\n" + other.Item(0), inputs: map[string]string{"missing-credentials": "fail"}}.run(t).
		exits(0).has(map[string]report.Status{s.Host: report.Skipped, other.Host: report.Pushed})
	// A failure there is a warning.
	wrong := "- registry: " + s.Host + "\n  username: acme\n  password: wrong-wrong\n  required: false\n"
	o := job{source: archive, tags: tags, auth: wrong + other.Item(0)}.run(t).exits(0)
	o.has(map[string]report.Status{s.Host: report.Failed, other.Host: report.Unchanged})
	if strings.Contains(o.stdout+o.stderr, "::error") {
		t.Errorf("an error annotation for a registry that is not required:\n%s%s", o.stdout, o.stderr)
	}
}

// The seed case: releases to one registry, every build to the other.
func TestTagsMatching(t *testing.T) {
	image := images.Build(images.Options{Single: true, Layers: 1})
	releases, builds := servers.Olareg(t, servers.Options{}), servers.Olareg(t, servers.Options{})
	auth := releases.Item(0) + "  tags-matching: v?\\d+\\.\\d+\\.\\d+\n" + builds.Item(0)
	for _, c := range []struct {
		tag  string
		want report.Status
	}{{"main-0123456", report.Skipped}, {"v1.2.3", report.Pushed}, {"v1.2.3-rc1", report.Skipped}} {
		o := job{source: image.Archive(t), auth: auth, tags: []string{releases.Reference("acme/app", c.tag), builds.Reference("acme/app", c.tag)}}.run(t).exits(0)
		o.has(map[string]report.Status{releases.Host: c.want, builds.Host: report.Pushed})
		if c.want == report.Skipped && !strings.Contains(o.stdout, `tags-matching is v?\d+\.\d+\.\d+`) {
			t.Errorf("the expression is not said as it was written:\n%s", o.stdout)
		}
		image.Compare(t, builds.Reference("acme/app", c.tag), builds.Inspect()...)
		if got := images.Digest(t, releases.Reference("acme/app", c.tag), releases.Inspect()...); (got != "") != (c.want == report.Pushed) {
			t.Errorf("%s: %q", c.tag, got)
		}
	}
}

// By digest, one tag that matches is enough: its repository is published to, and left out by no other.
func TestTagsMatchingByDigest(t *testing.T) {
	image := images.Build(images.Options{Single: true, Layers: 1})
	s := servers.Olareg(t, servers.Options{})
	j := job{source: image.Archive(t), auth: s.Item(0) + "  tags-matching: v.*\n", inputs: map[string]string{"push-by-digest": "true"}}
	for _, tags := range [][]string{{"main", "v1"}, {"v1", "main"}} {
		j.tags = []string{s.Reference("acme/app", tags[0]), s.Reference("acme/app", tags[1]), s.Reference("acme/other", "main")}
		o := j.run(t).exits(0)
		left := 0
		for _, r := range o.registry(s.Host).References {
			if r.Status == report.Skipped {
				left++
			}
		}
		if left != 1 || len(o.registry(s.Host).References) != 2 || strings.Contains(o.stdout, "left out: acme/app") || !strings.Contains(o.stdout, "left out: acme/other") {
			t.Errorf("%v: %+v\n%s", tags, o.registry(s.Host).References, o.stdout)
		}
	}
}

// A registry that wants a login after all is refused with what to do about that, not with
// advice on an account that there is none of.
func TestAnonymousWhereALoginIsWanted(t *testing.T) {
	image := images.Build(images.Options{Single: true, Layers: 1})
	for _, auth := range []servers.Auth{servers.Basic, servers.Token} {
		s := servers.Olareg(t, servers.Options{Auth: auth})
		o := job{source: image.Archive(t), auth: "- registry: " + s.Host + "\n  anonymous: true\n", tags: []string{s.Reference("acme/app", "1")}}.run(t).exits(1)
		o.has(map[string]report.Status{s.Host: report.Failed})
		if !strings.Contains(o.stdout, "in place of anonymous: true") || strings.Contains(o.stdout, "user name") {
			t.Errorf("the log:\n%s", o.stdout)
		}
	}
}

// On a pull request from a fork the job's own token may only read: that is a skip there,
// and a failure anywhere else.
func TestForkWithTheJobsToken(t *testing.T) {
	image := images.Build(images.Options{Single: true, Layers: 1})
	token := servers.User{Name: "octocat", Password: "ghs_0123456789abcdef", Grants: []servers.Grant{{Repository: "**", Actions: []string{"pull"}}}}
	event := filepath.Join(t.TempDir(), "event.json")
	if err := os.WriteFile(event, []byte(`{"pull_request":{"head":{"repo":{"full_name":"mallory/app","fork":true}},"base":{"repo":{"full_name":"acme/app"}}}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		env    map[string]string
		status report.Status
		exit   int
		says   string
	}{
		{"fork", map[string]string{"GITHUB_EVENT_NAME": "pull_request", "GITHUB_EVENT_PATH": event}, report.Skipped, 0, "fork"},
		{"Dependabot", map[string]string{"GITHUB_EVENT_NAME": "pull_request", "GITHUB_ACTOR": "dependabot[bot]"}, report.Skipped, 0, "Dependabot"},
		{"push", nil, report.Failed, 1, "packages: write"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ghcr := servers.Olareg(t, servers.Options{Users: []servers.User{token, {Name: "dependabot[bot]", Password: token.Password, Grants: token.Grants}}})
			o := job{source: image.Archive(t), tags: []string{"ghcr.io/acme/app:1"}, env: c.env, hosts: hosts{"ghcr.io": ghcr},
				inputs: map[string]string{"github-token": token.Password}}.run(t)
			o.exits(c.exit).has(map[string]report.Status{"ghcr.io": c.status}).says(c.says)
		})
	}
}
