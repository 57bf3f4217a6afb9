package container

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// between returns what stands in a file between the first from and the next to.
func between(t *testing.T, path, from, to string) string {
	t.Helper()
	_, rest, ok := strings.Cut(read(t, path), from)
	text, _, closed := strings.Cut(rest, to)
	if !ok || !closed {
		t.Fatalf("%s has nothing between %q and %q", path, from, to)
	}
	return text
}

// dockerRecipes are the scripts of recipes for a machine with Docker alone, by the file.
func dockerRecipes(t *testing.T) map[string]string {
	t.Helper()
	var gitlab struct {
		Publish struct{ Script []string }
	}
	if err := yaml.Unmarshal([]byte(read(t, recipes+"gitlab-ci.yml")), &gitlab); err != nil {
		t.Fatal(err)
	}
	script := gitlab.Publish.Script
	return map[string]string{
		"shell.sh":      read(t, recipes+"shell.sh"),
		"gitlab-ci.yml": script[len(script)-1],                                // what comes before needs buildx, and another engine
		"Jenkinsfile":   between(t, recipes+"Jenkinsfile", "sh '''\n", "'''"), // of its stage
	}
}

// TestRecipesWithDocker follows the recipes for a machine with Docker alone, to the
// letter but for the names of their registries and images: with credentials both registries
// serve the image, without the second's the first does, and without any nothing is published,
// which is a failure.
func TestRecipesWithDocker(t *testing.T) {
	image := actionImage(t)
	t.Cleanup(func() { _, _ = docker("rmi", "app:recipe") })
	for name, recipe := range dockerRecipes(t) {
		for passwords := range 3 {
			t.Run(fmt.Sprintf("%s, %d of 2 passwords", name, passwords), func(t *testing.T) {
				t.Parallel()
				first, second, _ := job(t)
				folder := t.TempDir()
				copyFile(t, fixture(t, "buildkit-attested.tar"), filepath.Join(folder, "image.tar"))
				write(t, filepath.Join(folder, "Dockerfile"), "FROM "+image+"\nLABEL of=recipes\n") // the same for all: it is built once
				firstPassword, password := first.Users[0].Password, second.Users[0].Password
				if passwords < 2 {
					password = ""
				}
				if passwords < 1 {
					firstPassword = ""
				}
				text := strings.NewReplacer(
					"docker run ", "docker run --network host ",
					"docker build -t app", "docker build -t app:recipe",
					"image.tar\" app", "image.tar\" app:recipe",
					"image.tar app", "image.tar app:recipe",
					"ghcr.io/multi-registry-push/multi-registry-push:1", image,
					// Docker Hub is where the second registry is, and needs no line of its own.
					"docker.io/acme/app", second.Host+"/acme/app",
					"- username: ", "- registry: "+second.Host+"\n  username: ",
					"quay.io", first.Host,
				).Replace(recipe)
				cmd := exec.Command("sh", "-c", text)
				cmd.Dir = folder
				cmd.Env = append(os.Environ(), "DOCKER_BUILDKIT=0",
					"DOCKERHUB_USERNAME="+second.Users[0].Name, "DOCKERHUB_TOKEN="+password,
					"QUAY_USERNAME="+first.Users[0].Name, "QUAY_TOKEN="+firstPassword, "WORKSPACE="+folder, "BUILD_NUMBER=latest",
					"IMAGE="+image, "CI_PROJECT_DIR="+folder, "CI_REGISTRY="+first.Host, "CI_REGISTRY_IMAGE="+first.Host+"/acme/app",
					"CI_REGISTRY_USER="+first.Users[0].Name, "CI_REGISTRY_PASSWORD="+firstPassword, "CI_COMMIT_SHORT_SHA=latest")
				out, err := cmd.CombinedOutput()
				if exit := cmd.ProcessState.ExitCode(); exit != map[bool]int{true: 0, false: 1}[passwords > 0] {
					t.Fatalf("exit status %d: %v\n%s", exit, err, out)
				}
				verified := func(host string) bool { return strings.Contains(string(out), host+"  serves sha256:") }
				if verified(first.Host) != (passwords > 0) || verified(second.Host) != (passwords > 1) {
					t.Errorf("not published where it should be:\n%s", out)
				}
				if left, err := filepath.Glob(filepath.Join(folder, "*")); err != nil || len(left) != 2 {
					t.Errorf("the recipe leaves %q (%v)", left, err)
				}
			})
		}
	}
}
