package docs

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestReleaseTag: a release's commit names image and binaries by digest, and the major
// version moves there only when each binary can be fetched and is the one that was named.
func TestReleaseTag(t *testing.T) {
	clone := filepath.Join(t.TempDir(), "clone")
	run(t, ".", "git", "clone", "-q", root, clone)
	for _, script := range []string{"release-tag", "release-move"} { // as they are in the work tree
		if err := os.WriteFile(filepath.Join(clone, "scripts", script), read(t, filepath.Join(root, "scripts", script)), 0o755); err != nil { // #nosec G306 -- a script
			t.Fatal(err)
		}
	}
	run(t, clone, "git", "-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "-qam", "scripts", "--allow-empty")
	run(t, clone, "git", "config", "user.name", "t")
	run(t, clone, "git", "config", "user.email", "t@example.com")
	main := run(t, clone, "git", "rev-parse", "HEAD")

	files := t.TempDir()
	list := "# comment\nversion 9.8.7\n"
	for _, platform := range []string{"linux_amd64", "linux_arm64", "darwin_amd64", "darwin_arm64"} {
		list += fmt.Sprintf("%s %x\n", platform, sha256.Sum256([]byte(platform)))
	}
	write := func(name, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(filepath.Join(files, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(files, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("release.txt", list)
	image := "ghcr.io/acme/app@sha256:" + strings.Repeat("a", 64)
	if out, err := try(clone, "scripts/release-tag", "9.8.6", image, filepath.Join(files, "release.txt")); err == nil {
		t.Fatalf("binaries of another version are taken:\n%s", out)
	}
	run(t, clone, "git", "checkout", "-q", "-f", strings.TrimSpace(main))
	run(t, clone, "scripts/release-tag", "9.8.7", image, filepath.Join(files, "release.txt"))

	if got := run(t, clone, "git", "show", "v9.8.7:native/release.txt"); got != list {
		t.Errorf("release.txt is %q", got)
	}
	if got := run(t, clone, "git", "show", "v9.8.7:action.yml"); !strings.Contains(got, "\n  image: docker://"+image+"\n") {
		t.Errorf("action.yml does not name the image:\n%s", got)
	}
	if got := run(t, clone, "git", "rev-parse", "v9.8.7^{commit}^"); got != main {
		t.Errorf("the release's parent is %s, not %s", got, main)
	}

	move := func() error {
		_, err := try(clone, "scripts/release-move", "9.8.7", "file://"+files)
		return err
	}
	moved := func() bool {
		_, err := try(clone, "git", "rev-parse", "-q", "--verify", "refs/tags/v9")
		return err == nil
	}
	platforms := []string{"linux_amd64", "linux_arm64", "darwin_amd64", "darwin_arm64"}
	for _, platform := range platforms {
		if move() == nil || moved() {
			t.Errorf("v9 moves before %s can be fetched", platform)
		}
		write("v9.8.7/multi-registry-push_9.8.7_"+platform, platform)
	}
	write("v9.8.7/multi-registry-push_9.8.7_darwin_arm64", "other bytes")
	if move() == nil || moved() {
		t.Error("v9 moves although a binary is another than the release says")
	}
	write("v9.8.7/multi-registry-push_9.8.7_darwin_arm64", "darwin_arm64")
	if err := move(); err != nil || !moved() {
		t.Errorf("v9 does not move: %v", err)
	}
}

// A release's image, and that of its rehearsal in CI, is published by digest, signed, and only
// then tagged, from the signed digest and with its signatures. Nothing of a release is signed
// with a certificate before the rehearsal has been verified in every registry.
func TestSignedBeforeTagged(t *testing.T) {
	for file, c := range map[string]struct{ job, sign, after string }{
		"release.yml": {"image", `(?m)^cosign sign --yes --recursive "ghcr\.io/\$GITHUB_REPOSITORY@\$DIGEST"$`, ""},
		"ci.yml": {"rehearsal", `^scripts/release-key sign "\$RUNNER_TEMP" "localhost:5000/multi-registry-push@\$DIGEST"$`,
			`(?m)^\s*scripts/release-key verify "\$RUNNER_TEMP" "\$registry/multi-registry-push:\$VERSION"`},
	} {
		path := filepath.Join(root, ".github/workflows", file)
		all := parse(t, workflow{path, read(t, path)})
		var published, signed, tagged, verified int
		for i, s := range all.Jobs[c.job].Steps {
			at := i + 1
			digest := "${{ steps.publish.outputs.digest }}"
			switch by := fmt.Sprint(s.With["push-by-digest"]); {
			case ours(s.Uses) && by == "true" && s.ID == "publish":
				published = at
			case ours(s.Uses):
				if source := fmt.Sprint(s.With["source"]); tagged > 0 || !strings.HasSuffix(source, "@"+digest) || fmt.Sprint(s.With["referrers"]) != "true" {
					t.Errorf("%s: tags are written from %s, with referrers: %v", file, source, s.With["referrers"])
				}
				tagged = at
			case regexp.MustCompile(c.sign).MatchString(s.Run):
				if s.Env["DIGEST"] != digest {
					t.Errorf("%s: %q is signed", file, s.Env["DIGEST"])
				}
				signed = at
			case c.after != "" && regexp.MustCompile(c.after).MatchString(s.Run):
				verified = at
			}
		}
		if published == 0 || signed < published || tagged < signed || c.after != "" && verified < tagged {
			t.Errorf("%s: published in step %d, signed in %d, tagged in %d, verified in %d", file, published, signed, tagged, verified)
		}
		if file == "release.yml" && (all.Jobs["ci"].Uses != "./.github/workflows/ci.yml" || all.Jobs["image"].Needs != "ci") {
			t.Error("the image does not wait for CI, which rehearses")
		}
	}
}

// The dry run on one machine keeps that order, too.
func TestDryRunSignsBeforeItTags(t *testing.T) {
	script := string(read(t, filepath.Join(root, "scripts/release-dry-run")))
	last := -1
	for _, part := range []string{`--push-by-digest`, `scripts/release-key sign "$work" "$first@$digest"`,
		`--source "docker://$first@$digest" --referrers --atomic`, `scripts/release-key verify "$work" "$image:$version"`} {
		at := strings.Index(script, part)
		if at <= last || strings.Count(script, part) != 1 {
			t.Errorf("%s is not there once, behind what comes before it", part)
		}
		last = at
	}
}

// The images of our own workflows and the action's base are named by digest, and stand where
// Dependabot looks.
func TestImagesOfWorkflows(t *testing.T) {
	known := map[string]bool{}
	for line := range strings.Lines(string(read(t, filepath.Join(root, ".github/images/Dockerfile")))) {
		if words := strings.Fields(line); len(words) == 4 && words[0] == "FROM" {
			known[words[1]] = true
		}
	}
	if !strings.Contains(string(read(t, filepath.Join(root, ".github/dependabot.yml"))), "directory: /.github/images") {
		t.Error("Dependabot does not look at .github/images")
	}
	used := map[string]bool{}
	for _, w := range workflows(t) {
		if !strings.Contains(w.name, ".github/workflows") {
			continue
		}
		for name, job := range parse(t, w).Jobs {
			var images []string
			if c, ok := job.Container.(map[string]any); ok {
				images = append(images, fmt.Sprint(c["image"]))
			} else if job.Container != nil {
				images = append(images, fmt.Sprint(job.Container))
			}
			for _, s := range job.Services {
				images = append(images, s.Image)
			}
			for _, image := range images {
				used[image] = true
				if !known[image] || !regexp.MustCompile(`^[a-z]+:[\w.-]+@sha256:[0-9a-f]{64}$`).MatchString(image) {
					t.Errorf("%s: job %s uses %s, which .github/images/Dockerfile does not name by tag and digest", w.name, name, image)
				}
			}
		}
	}
	_, base, _ := strings.Cut(string(read(t, filepath.Join(root, "Dockerfile"))), "\nARG BASE=")
	base, _, _ = strings.Cut(base, "\n")
	if used[base] = true; !known[base] {
		t.Errorf("the Dockerfile's base is %s, which .github/images/Dockerfile does not name", base)
	}
	for image := range known {
		if !used[image] {
			t.Errorf("nothing uses %s", image)
		}
	}
}

func try(folder, program string, args ...string) (string, error) {
	cmd := exec.Command(program, args...)
	cmd.Dir = folder
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func run(t *testing.T, folder, program string, args ...string) string {
	t.Helper()
	out, err := try(folder, program, args...)
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", program, args, err, out)
	}
	return out
}
