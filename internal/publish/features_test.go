package publish

import (
	"context"
	"errors"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/multi-registry-push/multi-registry-push/internal/config"
	"github.com/multi-registry-push/multi-registry-push/internal/credentials"
	"github.com/multi-registry-push/multi-registry-push/internal/imageref"
	"github.com/multi-registry-push/multi-registry-push/internal/registry"
	"github.com/multi-registry-push/multi-registry-push/internal/source"
	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

var version = regexp.MustCompile(`^(?:\d+\.\d+\.\d+)$`)

// again returns a run of root to references on the hosts of s.
func (s *setup) again(t *testing.T, root *source.Manifest, references ...string) *setup {
	next := newSetup(t, root, references...)
	maps.Copy(next.hosts, s.hosts)
	for _, h := range s.hosts {
		h.calls = nil
	}
	return next
}

func TestReadOnlyRegistryThatHoldsTheImageIsUnchanged(t *testing.T) {
	root := twoPlatforms(t, "new")
	s := newSetup(t, root, "a.test/me/app:1")
	s.run(t.Context())
	next := s.again(t, root, "a.test/me/app:1")
	s.hosts["a.test"].fail = failing("StartUpload", usererror.New(usererror.NoPushPermission, "a.test", "push", "", nil))
	next.run(t.Context())
	if r := next.registry("a.test"); r.Status() != Unchanged || len(r.Failures) > 0 || r.Blobs.Existing != 5 {
		t.Errorf("%s, %v, %+v", r.Status(), r.Failures, r.Blobs)
	}
	moved := s.again(t, twoPlatforms(t, "newer"), "a.test/me/app:1")
	moved.run(t.Context())
	if !moved.failedWith("a.test", usererror.NoPushPermission) || s.hosts["a.test"].count("Upload") > 0 {
		t.Errorf("failures: %v", moved.failures())
	}
}

func TestConflictIsFoundBeforeAByteIsSent(t *testing.T) {
	s := newSetup(t, twoPlatforms(t, "old"), "a.test/me/app:1.2.3")
	s.run(t.Context())
	for _, skip := range []bool{false, true} {
		next := s.again(t, twoPlatforms(t, "new"), "a.test/me/app:1.2.3", "a.test/me/app:latest")
		next.settings.ImmutableTags, next.settings.SkipExisting = version, skip
		next.run(t.Context())
		want := Failed
		if skip {
			want = Skipped
		}
		a := s.hosts["a.test"]
		if got := next.registry("a.test").Status(); got != want || a.count("Upload")+a.count("StatBlob")+a.count("PutManifest") > 0 {
			t.Errorf("skip-existing %v: %s, %v", skip, got, a.calls)
		}
		if next.result.Images[0].Digest == "" {
			t.Error("the digest is not known")
		}
	}
}

func TestPushByDigest(t *testing.T) {
	for _, atomic := range []bool{false, true} {
		root := twoPlatforms(t, "new")
		s := newSetup(t, root, "a.test/me/app:1", "a.test/me/app:2", "b.test/me/app:1")
		s.settings.PushByDigest, s.settings.Atomic = true, atomic
		s.run(t.Context())
		s.kept(t)
		want := map[string]Status{}
		for _, name := range []string{"a.test/me/app@", "b.test/me/app@"} {
			want[name+root.Descriptor.Digest.String()] = Pushed
		}
		if got := s.status(); !maps.Equal(got, want) {
			t.Errorf("atomic %v: got %v, want %v", atomic, got, want)
		}
		for _, h := range s.hosts {
			if len(h.tags()) > 0 || h.count("PutManifest me/app "+root.Descriptor.Digest.String()) != 1 {
				t.Errorf("%s: tags %v, calls %v", h.name, h.tags(), h.calls)
			}
		}
		s.run(t.Context())
		if got := s.registry("a.test").Status(); got != Unchanged {
			t.Errorf("again: %s", got)
		}
	}
}

func TestLostBlobs(t *testing.T) {
	for _, thorough := range []bool{false, true} {
		root := twoPlatforms(t, "new")
		s := newSetup(t, root, "a.test/me/app:1")
		s.run(t.Context())
		a := s.hosts["a.test"]
		lost, _ := root.Manifests[0].Blobs[2].Descriptor(t.Context())
		delete(a.at("me/app").blobs, lost.Digest.String())
		next := s.again(t, root, "a.test/me/app:1", "a.test/me/app:2")
		next.settings.Thorough = thorough
		if thorough {
			next = s.again(t, root, "a.test/me/app:1")
			next.settings.Thorough = true
		} else {
			refused := false
			a.fail = func(call string) error {
				if call == "PutManifest me/app 2" && !refused {
					refused = true
					return &registry.MissingContentError{Err: errors.New("MANIFEST_BLOB_UNKNOWN")}
				}
				return nil
			}
		}
		next.run(t.Context())
		a.fail = nil
		next.kept(t)
		if r := next.registry("a.test"); r.Status() != Pushed || r.Repaired != 1 || a.count("Upload") != 1 {
			t.Errorf("thorough %v: %s, %d repaired, failures %v", thorough, r.Status(), r.Repaired, r.Failures)
		}
	}
}

// several makes s publish one image more, whose source is broken if root is nil.
func (s *setup) several(roots map[string]*source.Manifest, references map[string][]string) {
	s.settings.Images, s.settings.Several = nil, true
	for name := range roots {
		one := config.Image{Name: name, Source: name}
		for _, ref := range references[name] {
			one.Destinations = append(one.Destinations, config.Destination{Reference: parse(ref)})
			host := parse(ref).Host
			if s.hosts[host] == nil {
				s.hosts[host] = newHost(host)
			}
		}
		s.settings.Images = append(s.settings.Images, one)
	}
	s.deps.Open = func(_ context.Context, one Image, _ func(imageref.Repository) source.RemoteRepository, _ func([]v1.Descriptor)) (*source.Image, error) {
		if roots[one.Name] == nil {
			return nil, usererror.New(usererror.SourceNotFound, "", one.Name+" is not there", "", nil)
		}
		return source.NewImage(one.Name, nil, roots[one.Name], nil), nil
	}
}

func TestSeveralImages(t *testing.T) {
	api, web := twoPlatforms(t, "api"), twoPlatforms(t, "web")
	to := map[string][]string{"api": {"a.test/me/api:1", "b.test/me/api:1"}, "web": {"a.test/me/web:1"}}
	s := newSetup(t, api)
	s.several(map[string]*source.Manifest{"api": api, "web": web}, to)
	s.run(t.Context())
	s.kept(t)
	if r := s.registry("a.test"); r.Status() != Pushed || r.Blobs.Uploaded != 9 || r.Blobs.Mounted != 1 || s.hosts["a.test"].count("Login") != 2 {
		t.Errorf("%s, %+v: the shared layer goes once to a host", r.Status(), r.Blobs)
	}
	for _, atomic := range []bool{false, true} {
		s := newSetup(t, api)
		s.several(map[string]*source.Manifest{"api": api, "web": nil}, to)
		s.settings.Atomic = atomic
		s.run(t.Context())
		want := map[string]Status{"a.test/me/api:1": Pushed, "b.test/me/api:1": Pushed, "a.test/me/web:1": Failed}
		if atomic {
			want["a.test/me/api:1"], want["b.test/me/api:1"] = HeldBack, HeldBack
		}
		if got := s.status(); !maps.Equal(got, want) {
			t.Errorf("atomic %v: got %v, want %v", atomic, got, want)
		}
	}
}

func TestSignaturesAreNotLost(t *testing.T) {
	root := twoPlatforms(t, "new")
	tag := "sha256-" + root.Descriptor.Digest.Hex + ".sig"
	ours, theirs := newBlob("ours", "application/cosign"), newBlob("theirs", "application/cosign")
	config := newBlob("{}", types.OCIConfigJSON)
	mine := newManifest(t, nil, config, ours)
	for name, c := range map[string]struct {
		there *source.Manifest
		kept  int
	}{
		"another":   {newManifest(t, nil, config, theirs), 1},
		"fewer":     {newManifest(t, nil, config), 0},
		"all there": {mine, 0},
	} {
		s := newSetup(t, root, "a.test/me/app:1")
		s.referrers(root, source.Referrer{Manifest: mine, Tag: tag})
		r := s.hosts["a.test"].at("me/app")
		for _, b := range []*fakeBlob{ours, theirs, config} {
			r.blobs[b.d.Digest.String()] = true
		}
		r.manifests[c.there.Descriptor.Digest.String()] = c.there.Raw
		r.tags[tag] = c.there.Descriptor.Digest.String()
		s.run(t.Context())
		want := mine
		if c.kept > 0 {
			want = c.there
		}
		if got := s.registry("a.test"); r.tags[tag] != want.Descriptor.Digest.String() || got.Referrers.Kept != c.kept || got.Status() != Pushed {
			t.Errorf("%s: serves %s, %+v, %s", name, r.tags[tag], got.Referrers, got.Status())
		}
	}
}

func TestTagThatIsNotServedYet(t *testing.T) {
	s := newSetup(t, twoPlatforms(t, "new"), "a.test/me/app:1")
	h := s.hosts["a.test"]
	h.fail = func(call string) error {
		if call == "Stat me/app 1" {
			h.mu.Lock()
			defer h.mu.Unlock()
			delete(h.at("me/app").tags, "1")
		}
		return nil
	}
	s.run(t.Context())
	r := s.registry("a.test")
	if ref := r.References[0]; r.Status() != Pushed || !ref.Unseen || ref.Now != "" || s.result.Serves(ref) || len(s.result.Notes) != 1 {
		t.Errorf("%s, %+v, %v", r.Status(), ref, s.result.Notes)
	}
}

// What the registry does not tell in passing after it took the tag is no failure, and no reason to
// put tags back.
func TestTagThatIsUnclearForAMoment(t *testing.T) {
	for refusals, want := range map[int]Status{1: Pushed, patience: Pushed, 99: Failed} {
		s := newSetup(t, twoPlatforms(t, "new"), "a.test/me/app:1")
		s.deps.VerifyPauses = slices.Repeat([]time.Duration{time.Millisecond}, 2*patience)
		h := s.hosts["a.test"]
		left, asked := refusals, 0
		h.fail = func(call string) error {
			h.mu.Lock()
			defer h.mu.Unlock()
			if call != "Stat me/app 1" || h.at("me/app").tags["1"] == "" {
				return nil
			}
			asked++
			if left--; left < 0 {
				return nil
			}
			return registry.ErrUnclear
		}
		s.run(t.Context())
		if got := s.registry("a.test").Status(); got != want || asked > patience+1 {
			t.Errorf("%d refusals: %s after %d questions, want %s", refusals, got, asked, want)
		}
	}
}

func TestPublic(t *testing.T) {
	for name, c := range map[string]struct {
		answer error
		status Status
		notes  int
	}{
		"public":  {nil, Pushed, 0},
		"private": {registry.ErrNotPublic, Failed, 0},
		"unclear": {errors.New("503"), Pushed, 1},
	} {
		s := newSetup(t, twoPlatforms(t, "new"), "ghcr.io/me/app:1")
		s.credential = func(imageref.Repository) credentials.Credential {
			return credentials.Credential{Item: &credentials.Item{Public: true}}
		}
		s.hosts["ghcr.io"].fail = func(call string) error {
			if strings.HasPrefix(call, "CheckPublic") {
				return c.answer
			}
			return nil
		}
		s.run(t.Context())
		if r := s.registry("ghcr.io"); r.Status() != c.status || len(s.result.Notes) != c.notes || r.References[0].Status != Pushed {
			t.Errorf("%s: %s, %v, %v", name, r.Status(), r.Failures, s.result.Notes)
		}
		for _, f := range s.registry("ghcr.io").Failures {
			for _, owner := range []string{"users", "orgs"} {
				address := "https://github.com/" + owner + "/me/packages/container/app/settings"
				if advice := usererror.Advice(f.Err); !strings.Contains(advice, address) {
					t.Errorf("%s: %q does not name %s", name, advice, address)
				}
			}
		}
	}
}

func TestDryRunFindsMissingRepositories(t *testing.T) {
	for _, create := range []bool{false, true} {
		s := newSetup(t, twoPlatforms(t, "new"), "a.test/me/app:1")
		s.settings.DryRun, s.settings.CreateRepository = true, create
		s.credential = func(imageref.Repository) credentials.Credential { return credentials.Credential{NeedsCreate: true} }
		s.hosts["a.test"].fail = failing("Manifest", usererror.New(usererror.RepositoryMissing, "a.test", "reading", "", nil))
		s.run(t.Context())
		r := s.registry("a.test")
		if create && (r.Status() != Planned || len(r.ToCreate) != 1 || r.Blobs.Missing != 5) || !create && !s.failedWith("a.test", usererror.RepositoryMissing) {
			t.Errorf("create-repository %v: %s, to create %v, %+v, %v", create, r.Status(), r.ToCreate, r.Blobs, r.Failures)
		}
	}
}
