package light_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multi-registry-push/multi-registry-push/test/images"
	"github.com/multi-registry-push/multi-registry-push/test/light"
)

// picky is a registry that refuses a manifest until its subject is there, as GitLab's does,
// and that takes half a minute over those that are subjects.
type picky struct {
	mu      sync.Mutex
	there   map[string]bool
	refused int
	tags    int // writes of tags
}

func (p *picky) admit(r *http.Request, body []byte) int {
	if r.Method != http.MethodPut || !strings.Contains(r.URL.Path, "/manifests/") {
		return 0
	}
	var manifest v1.Manifest
	if err := json.Unmarshal(body, &manifest); err != nil {
		return http.StatusBadRequest
	}
	if manifest.Subject == nil {
		if err := wait(r.Context(), 30*time.Second); err != nil {
			return http.StatusBadGateway
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if manifest.Subject != nil && !p.there[manifest.Subject.Digest.String()] {
		p.refused++
		return http.StatusNotFound
	}
	if !strings.Contains(r.URL.Path, ":") {
		p.tags++
	}
	p.there[images.Describe("", body).Digest.String()] = true
	return 0
}

// Subjects are written first, at any concurrency, in any order of the index and however
// slow the registry is.
func TestSubjectsFirst(t *testing.T) {
	definition, err := os.ReadFile("../../action.yml")
	if err != nil {
		t.Fatal(err)
	}
	for _, reversed := range []bool{false, true} {
		archive := images.Build(images.Options{
			Platforms: []string{"linux/amd64", "linux/arm64", "linux/s390x"}, LayerBytes: 1 << 10, Subjects: true, Reversed: reversed,
		}).Archive(t)
		for _, concurrency := range []string{"1", "3", "auto"} {
			for _, atomic := range []string{"false", "true"} {
				t.Run(fmt.Sprintf("reversed %v, concurrency %s, atomic %s", reversed, concurrency, atomic), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						p := &picky{there: map[string]bool{}}
						f := &far{hosts: map[string]http.Handler{"one.test": light.New()}, admit: p.admit}
						f.publish(t, definition, archive, "--concurrency", concurrency, "--atomic", atomic)
						if p.refused > 0 || p.tags != 1 || len(p.there) != 7 {
							t.Errorf("%d refused, %d tags, %d manifests of 7", p.refused, p.tags, len(p.there))
						}
					})
				})
			}
		}
	}
}
