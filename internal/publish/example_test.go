package publish_test

import (
	"fmt"
	"log"

	"github.com/multi-registry-push/multi-registry-push/internal/config"
	"github.com/multi-registry-push/multi-registry-push/internal/credentials"
	"github.com/multi-registry-push/multi-registry-push/internal/imageref"
	"github.com/multi-registry-push/multi-registry-push/internal/publish"
)

// A plan says which registries get an image, and why others do not.
func ExampleNewPlan() {
	settings := config.Settings{Images: []config.Image{{}}}
	resolved := map[imageref.Repository]credentials.Credential{}
	for _, text := range []string{"quay.io/acme/app:1.0", "quay.io/acme/app:latest", "ghcr.io/acme/app:1.0"} {
		ref, err := imageref.ParseDestination(text)
		if err != nil {
			log.Fatal(err)
		}
		one := &settings.Images[0]
		one.Destinations = append(one.Destinations, config.Destination{Reference: ref})
		resolved[ref.Repository] = credentials.Credential{Origin: "github-token"}
		if ref.Host == "ghcr.io" {
			resolved[ref.Repository] = credentials.Credential{Skip: "github-token is empty"}
		}
	}
	for _, r := range publish.NewPlan(settings, resolved).Registries {
		if !r.Enabled() {
			fmt.Println(r.Host, "is skipped:", r.Left[0].Reason)
			continue
		}
		fmt.Println(r.Host, "gets", r.Repositories[0].Targets[0].Tags)
	}
	// Output:
	// quay.io gets [1.0 latest]
	// ghcr.io is skipped: github-token is empty
}
