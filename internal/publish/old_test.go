package publish

import (
	"fmt"
	"maps"
	"runtime"
	"strings"
	"sync"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/multi-registry-push/multi-registry-push/internal/source"
)

// large returns a manifest of almost 4 MiB that name tells from others.
func large(name string) []byte {
	return fmt.Appendf(nil, `{"schemaVersion":2,"manifests":[],"annotations":{"%s":"%s"}}`, name, strings.Repeat("x", 4<<20-200))
}

// Tags that serve manifests of the allowed size, many of them, are put back without all of these
// being kept.
func TestLargeOldManifestsArePutBack(t *testing.T) {
	const tags = 8
	var refs []string
	for i := range tags {
		refs = append(refs, fmt.Sprintf("b.test/me/app:%d", i))
	}
	s := newSetup(t, twoPlatforms(t, "new"), append(refs, "a.test/me/app:1")...)
	s.settings.Atomic = true
	b := s.hosts["b.test"]
	repo := b.at("me/app")
	for i := range tags {
		raw := large(fmt.Sprint(i))
		digest, _, err := v1.SHA256(strings.NewReader(string(raw)))
		if err != nil {
			t.Fatal(err)
		}
		repo.manifests[digest.String()], repo.types[digest.String()] = raw, string(types.OCIImageIndex)
		repo.tags[fmt.Sprint(i)] = digest.String()
	}
	before := b.tags()
	kept, written := 0, make(chan struct{})
	first := sync.OnceFunc(func() {
		kept = b.count("Manifest me/app sha256:")
		close(written)
	})
	b.fail = func(call string) error {
		if strings.HasPrefix(call, "PutManifest me/app ") && !strings.Contains(call, "sha256:") {
			first()
		}
		return nil
	}
	s.hosts["a.test"].refuseAfter("PutManifest me/app 1", written)
	s.run(t.Context())
	if now := b.tags(); !maps.Equal(now, before) {
		t.Errorf("b.test serves %v, not %v", now, before)
	}
	if most := maxOldBytes / (4<<20 - 200); kept == 0 || kept > most {
		t.Errorf("%d manifests of 4 MiB were read before the first tag was written, %d may be", kept, most)
	}
}

// A signature's tag of another registry may serve anything: it is counted before it is read into
// memory.
func TestHostileSignatureTakesLittleMemory(t *testing.T) {
	s := newSigned(t, false, "a.test/me/app:1")
	raw := []byte(`{"layers":[{}` + strings.Repeat(",{}", 4<<20/3-20) + `]}`)
	digest, _, err := v1.SHA256(strings.NewReader(string(raw)))
	if err != nil {
		t.Fatal(err)
	}
	repo := s.hosts["a.test"].at("me/app")
	repo.manifests[digest.String()] = raw
	u := &tagUpdate{t: &target{repository: &repository{client: s.hosts["a.test"].Repository("me/app")}}, before: digest.String(),
		signature: &source.Manifest{Raw: []byte("{}")}}
	var was, is runtime.MemStats
	runtime.ReadMemStats(&was)
	holds, err := u.holdsOthers(t.Context())
	runtime.ReadMemStats(&is)
	if took := is.TotalAlloc - was.TotalAlloc; took > 32<<20 {
		t.Errorf("it took %d MiB", took>>20)
	}
	if err != nil || !holds {
		t.Errorf("it can be overwritten: %v %v", holds, err)
	}
}
