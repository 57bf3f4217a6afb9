package publish

import (
	"context"
	"fmt"
	"testing"

	"github.com/multi-registry-push/multi-registry-push/internal/credentials"
	"github.com/multi-registry-push/multi-registry-push/internal/imageref"
)

// BenchmarkPlan groups references by registry and repository, without a request.
func BenchmarkPlan(b *testing.B) {
	for _, n := range []struct{ registries, repositories, tags int }{{4, 1, 2}, {1, 1, 1000}, {16, 8, 8}} {
		var r Request
		for i := range n.registries {
			for j := range n.repositories {
				for k := range n.tags {
					at := imageref.Repository{Host: fmt.Sprintf("registry%d.example", i), Path: fmt.Sprintf("acme/app%d", j)}
					r.Destinations = append(r.Destinations, Destination{Reference: imageref.Reference{Repository: at, Tag: fmt.Sprintf("1.0.%d", k)}})
				}
			}
		}
		r.Choose = func(_ context.Context, _ imageref.Repository) credentials.Credential {
			return credentials.Credential{Origin: "anonymous", Anonymous: true}
		}
		b.Run(fmt.Sprintf("%d registries, %d repositories, %d tags", n.registries, n.repositories, n.tags), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if p := NewPlan(b.Context(), r); len(p.Registries) != n.registries {
					b.Fatal(len(p.Registries))
				}
			}
		})
	}
}
