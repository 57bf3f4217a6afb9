package publish

import (
	"fmt"
	"testing"

	"github.com/multi-registry-push/multi-registry-push/internal/config"
	"github.com/multi-registry-push/multi-registry-push/internal/credentials"
	"github.com/multi-registry-push/multi-registry-push/internal/imageref"
)

// BenchmarkPlan groups references by registry and repository, without a request.
func BenchmarkPlan(b *testing.B) {
	for _, n := range []struct{ registries, repositories, tags int }{{4, 1, 2}, {1, 1, 1000}, {16, 8, 8}} {
		settings := config.Settings{Images: []config.Image{{}}}
		resolved := map[imageref.Repository]credentials.Credential{}
		for i := range n.registries {
			for j := range n.repositories {
				at := imageref.Repository{Host: fmt.Sprintf("registry%d.example", i), Path: fmt.Sprintf("acme/app%d", j)}
				resolved[at] = credentials.Credential{Origin: "anonymous", Anonymous: true}
				for k := range n.tags {
					settings.Images[0].Destinations = append(settings.Images[0].Destinations,
						config.Destination{Reference: imageref.Reference{Repository: at, Tag: fmt.Sprintf("1.0.%d", k)}})
				}
			}
		}
		b.Run(fmt.Sprintf("%d registries, %d repositories, %d tags", n.registries, n.repositories, n.tags), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if p := NewPlan(settings, resolved); len(p.Registries) != n.registries {
					b.Fatal(len(p.Registries))
				}
			}
		})
	}
}
