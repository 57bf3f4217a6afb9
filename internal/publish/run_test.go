package publish

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"go.uber.org/goleak"

	"github.com/multi-registry-push/multi-registry-push/internal/credentials"
	"github.com/multi-registry-push/multi-registry-push/internal/imageref"
	"github.com/multi-registry-push/multi-registry-push/internal/redact"
	"github.com/multi-registry-push/multi-registry-push/internal/registry"
	"github.com/multi-registry-push/multi-registry-push/internal/source"
	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var everywhere = []string{"a.test/me/app:1", "a.test/me/app:latest", "a.test/me/copy:1", "b.test/me/app:1"}

func TestRunPublishesEverywhere(t *testing.T) {
	root := twoPlatforms(t, "new")
	s := newSetup(t, root, everywhere...)
	copied := &transferred{sent: map[string]int64{}, arrived: map[string]int64{}}
	s.observer = copied
	s.run(t.Context())
	s.kept(t)
	if !maps.Equal(copied.sent, copied.arrived) || copied.arrived["a.test"] == 0 {
		t.Errorf("sent %v, arrived %v", copied.sent, copied.arrived)
	}
	digest := root.Descriptor.Digest.String()
	for host, want := range map[string]map[string]string{
		"a.test": {"me/app:1": digest, "me/app:latest": digest, "me/copy:1": digest},
		"b.test": {"me/app:1": digest},
	} {
		if got := s.hosts[host].tags(); !maps.Equal(got, want) {
			t.Errorf("%s serves %v, want %v", host, got, want)
		}
	}
	for ref, status := range s.status() {
		if status != Pushed {
			t.Errorf("%s is %s", ref, status)
		}
	}
	if len(s.status()) != 4 || len(s.failures()) != 0 {
		t.Errorf("status %v, failures %v", s.status(), s.failures())
	}
	uploaded, mounted := s.registry("a.test").Blobs.Uploaded, s.registry("a.test").Blobs.Mounted
	if uploaded != 5 || mounted != 5 {
		t.Errorf("a.test got %d blobs uploaded and %d mounted, want 5 of each: a second repository mounts", uploaded, mounted)
	}
}

// mountable is a blob that a registry may mount from another repository.
type mountable struct{ source.Blob }

func (mountable) Origin() imageref.Repository { return parse("a.test/base:1").Repository }
func (mountable) Held() bool                  { return true }

// While a registry is asked for blobs, uploads are opened for a config and a layer of each manifest
// that it lacks, unless blobs may be mounted or the user has set how many go at once.
func TestUploadsOpenedAhead(t *testing.T) {
	one := []string{"a.test/me/app:1"}
	for name, c := range map[string]struct {
		to      []string
		prepare func(s *setup, root *source.Manifest)
		want    string
	}{
		"nothing is there":            {one, nil, "OpenUploads 4 me/app "},
		"a platform is there":         {one, func(s *setup, root *source.Manifest) { s.hosts["a.test"].serve("me/app", "2", root.Manifests[0]) }, "OpenUploads 2 me/app "},
		"all platforms are there":     {one, func(s *setup, root *source.Manifest) { s.hosts["a.test"].serve("me/app", "2", root) }, "OpenUploads 0 me/app "},
		"two repositories":            {append(one, "a.test/me/copy:1"), nil, ""},
		"a number of blobs at a time": {one, func(s *setup, _ *source.Manifest) { s.settings.Concurrency = 2 }, ""},
		"the source is on the host": {one, func(_ *setup, root *source.Manifest) {
			blobs := root.Manifests[1].Blobs
			blobs[2] = mountable{blobs[2]}
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			root := twoPlatforms(t, "new")
			s := newSetup(t, root, c.to...)
			if c.prepare != nil {
				c.prepare(s, root)
			}
			s.run(t.Context())
			s.kept(t)
			got := ""
			for _, call := range s.hosts["a.test"].calls {
				if strings.HasPrefix(call, "OpenUploads") {
					got += call
				}
			}
			if got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

// transferred counts what was sent to each registry, and what arrived there.
type transferred struct {
	quiet
	mu            sync.Mutex
	sent, arrived map[string]int64
}

func (c *transferred) Bytes(host string, _, sent, arrived int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sent[host] += sent
	c.arrived[host] += arrived
}

// cutHost breaks uploads to one repository off in their middle, and mounts nothing.
type cutHost struct {
	*fakeHost
	cut string
}

func (h cutHost) Repository(path string) Repository {
	return cutView{h.fakeHost.Repository(path), path == h.cut}
}

type cutView struct {
	Repository
	cut bool
}

func (v cutView) Upload(
	ctx context.Context, d v1.Descriptor, _ []string, c registry.Content, p registry.Progress,
) (registry.How, error) {
	if v.cut {
		p.Sent(d.Size / 2)
		return "", errors.New("broken off")
	}
	return v.Repository.Upload(ctx, d, nil, c, p)
}

// awaited fails the test where more is sent than was expected.
type awaited struct {
	quiet
	t              *testing.T
	mu             sync.Mutex
	expected, sent int64
}

func (a *awaited) Bytes(_ string, expected, sent, _ int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.expected += expected
	a.sent += sent
	if a.sent > a.expected {
		a.t.Errorf("%d bytes are sent, %d expected", a.sent, a.expected)
	}
}

// What went out of uploads that failed was sent, and is expected as long as it was.
func TestBytesOfFailedUploads(t *testing.T) {
	s := newSetup(t, twoPlatforms(t, "new"), "a.test/me/app:1", "a.test/me/copy:1", "a.test/me/other:1")
	s.deps.Connect = func(host string, _ bool, _ func(string) credentials.Credential) Host {
		return cutHost{s.hosts[host], "me/app"}
	}
	seen := &awaited{t: t}
	s.observer = seen
	s.run(t.Context())
	a := s.registry("a.test")
	if a.BytesCopied == 0 || a.BytesCopied != a.BytesExpected || a.BytesCopied != seen.sent || a.Blobs.Uploaded != 10 {
		t.Errorf("%d bytes are sent, %d expected, %+v", a.BytesCopied, a.BytesExpected, a.Blobs)
	}
}

// A blob whose size is not the descriptor's is not there, whatever a registry says: it is a part of
// it, or what is answered to every question.
func TestBlobOfAnotherSizeIsMissing(t *testing.T) {
	root := twoPlatforms(t, "new")
	s := newSetup(t, root, "a.test/me/app:1")
	repo := s.hosts["a.test"].at("me/app")
	repo.sizes = map[string]int64{}
	var right, wrong int
	for i, m := range root.Manifests {
		for k, b := range m.Blobs {
			d, err := b.Descriptor(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			digest := d.Digest.String()
			if repo.blobs[digest] { // of both platforms
				continue
			}
			repo.blobs[digest], repo.sizes[digest] = true, d.Size
			if (i+k)%2 == 0 {
				right++
				continue
			}
			wrong++
			repo.sizes[digest]--
		}
	}
	s.run(t.Context())
	s.kept(t)
	if got := s.registry("a.test").Blobs; right == 0 || wrong == 0 || got.Existing != right || got.Uploaded != wrong {
		t.Errorf("%+v, want %d existing, %d uploaded", got, right, wrong)
	}
}

func TestRunAgainSendsNothing(t *testing.T) {
	s := newSetup(t, twoPlatforms(t, "new"), everywhere...)
	s.run(t.Context())
	for _, h := range s.hosts {
		h.calls = nil
	}
	s.run(t.Context())
	for ref, status := range s.status() {
		if status != Unchanged {
			t.Errorf("%s is %s", ref, status)
		}
	}
	a := s.hosts["a.test"]
	for _, none := range []string{"Upload", "StatBlob", "PutManifest", "Manifest"} {
		if n := a.count(none); n > 0 {
			t.Errorf("%d times %s, although nothing was to be done", n, none)
		}
	}
	// Two repositories, two children each, three tags; the budget allows three requests a
	// repository, one a child and two a tag, after login.
	if n := a.count("Stat "); n > 2*3+2*2+3*2 {
		t.Errorf("%d requests", n)
	}
}

func TestChildThatWasRemovedIsCopiedAgain(t *testing.T) {
	root := twoPlatforms(t, "new")
	s := newSetup(t, root, everywhere...)
	s.run(t.Context())
	delete(s.hosts["a.test"].repo["me/app"].manifests, root.Manifests[1].Descriptor.Digest.String())
	s.run(t.Context())
	s.kept(t)
}

// TestEveryCallFails lets every single call of a run fail in turn, for good or once, and
// looks whether the promise was kept; then it runs again.
func TestEveryCallFails(t *testing.T) {
	down := usererror.New(usererror.RegistryGaveUp, "a.test", "calling", "", errors.New("500"))
	for _, atomic := range []bool{false, true} {
		for n := 0; ; n++ {
			s := newSetup(t, twoPlatforms(t, "old"), everywhere...)
			s.run(t.Context())
			before := s.hosts["a.test"].tags()
			beforeB := s.hosts["b.test"].tags()
			fresh := twoPlatforms(t, "new")
			retry := newSetup(t, fresh, everywhere...)
			retry.hosts = s.hosts
			retry.settings.Atomic = atomic
			var mu sync.Mutex
			calls, failed := 0, ""
			s.hosts["a.test"].fail = func(call string) error {
				mu.Lock()
				defer mu.Unlock()
				calls++
				if calls == n+1 {
					failed = call
					return down
				}
				return nil
			}
			retry.run(t.Context())
			retry.kept(t)
			name := fmt.Sprintf("atomic %v, call %d (%s)", atomic, n, failed)
			if failed == "" {
				if n < 20 {
					t.Fatalf("only %d calls", n)
				}
				break
			}
			digest := fresh.Descriptor.Digest.String()
			moved, stayed := 0, 0
			for host, was := range map[string]map[string]string{"a.test": before, "b.test": beforeB} {
				for ref, d := range s.hosts[host].tags() {
					switch d {
					case digest:
						moved++
					case was[ref]:
						stayed++
					default:
						t.Errorf("%s: %s/%s serves %s", name, host, ref, d)
					}
				}
			}
			if atomic && moved > 0 && stayed > 0 {
				t.Errorf("%s: %d tags moved and %d did not", name, moved, stayed)
			}
			if !strings.HasPrefix(failed, "Login ") && len(retry.failures()["a.test"]) == 0 {
				t.Errorf("%s: nobody said so", name)
			}
			s.hosts["a.test"].fail = nil
			retry.run(t.Context())
			for ref, status := range retry.status() {
				if status == Failed {
					t.Errorf("%s: run again, %s is %s", name, ref, status)
				}
			}
		}
	}
}

// TestRollBack has one registry that refuses its tag when the other's are written.
func TestRollBack(t *testing.T) {
	for name, c := range map[string]struct {
		tagless bool
		left    []string // tags of b.test that stay new
	}{
		"deletes tags": {false, nil},
		"cannot":       {true, []string{"me/app:new"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSetup(t, twoPlatforms(t, "old"), "a.test/me/app:1", "b.test/me/app:1")
			s.run(t.Context())
			was := s.hosts["b.test"].tags()
			again := newSetup(t, twoPlatforms(t, "new"), "a.test/me/app:1", "b.test/me/app:1", "b.test/me/app:new")
			again.hosts = s.hosts
			again.settings.Atomic = true
			written := make(chan struct{}, 2)
			s.hosts["b.test"].tagless = c.tagless
			s.hosts["b.test"].fail = func(call string) error {
				if strings.HasPrefix(call, "PutManifest me/app") && !strings.Contains(call, "sha256:") {
					defer func() { written <- struct{}{} }()
				}
				return nil
			}
			s.hosts["a.test"].fail = func(call string) error {
				if call == "PutManifest me/app 1" {
					<-written
					<-written
					return errors.New("500")
				}
				return nil
			}
			again.run(t.Context())
			again.kept(t)
			for _, tag := range c.left {
				was[tag] = again.hosts["b.test"].tags()[tag]
				if !again.failedWith("b.test", usererror.NotPutBack) {
					t.Errorf("nobody said that %s was not put back", tag)
				} else if got := again.registry("b.test").Failures[0].Remedy; got != redact.Redacted("Remove the tag b.test/"+tag+" by hand; it serves "+was[tag]+".") {
					t.Errorf("%q", got)
				}
			}
			back := again.registry("b.test").References[0].Reason
			if back != "put back, because atomic is on, and a.test failed [atomic-held-back]" {
				t.Errorf("%q", back)
			}
			if !slices.ContainsFunc(again.result.Notes, func(n Note) bool { return n.Text == "atomic: tags to be put back where they have moved: 3" }) {
				t.Errorf("%+v", again.result.Notes)
			}
			if got := again.hosts["b.test"].tags(); !maps.Equal(got, was) {
				t.Errorf("b.test serves %v, want %v", got, was)
			}
			want := map[string]Status{"a.test/me/app:1": Failed, "b.test/me/app:1": HeldBack, "b.test/me/app:new": HeldBack}
			for _, tag := range c.left {
				want["b.test/"+tag] = Failed
			}
			if got := again.status(); !maps.Equal(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	}
}

func TestAtomicHoldsBackAfterLogin(t *testing.T) {
	s := newSetup(t, twoPlatforms(t, "new"), "a.test/me/app:1", "b.test/me/app:1")
	s.settings.Atomic = true
	s.hosts["a.test"].fail = failing("Login", usererror.New(usererror.WrongCredentials, "a.test", "login", "", nil))
	s.run(t.Context())
	if n := s.hosts["b.test"].count("Upload"); n > 0 {
		t.Errorf("%d uploads although the other registry refused the login", n)
	}
	if b := s.registry("b.test"); b.Status() != HeldBack || len(b.Failures) > 0 {
		t.Errorf("b.test: %s, %v", b.Status(), b.Failures)
	}
}

func failing(prefix string, err error) func(string) error {
	return func(call string) error {
		if strings.HasPrefix(call, prefix) {
			return err
		}
		return nil
	}
}

func TestOneRegistryFails(t *testing.T) {
	for name, call := range map[string]string{"login": "Login", "permission": "StartUpload", "copy": "Upload", "manifest": "PutManifest me/app sha256", "tag": "PutManifest me/app 1"} {
		t.Run(name, func(t *testing.T) {
			s := newSetup(t, twoPlatforms(t, "new"), "a.test/me/app:1", "b.test/me/app:1")
			s.hosts["a.test"].fail = failing(call, errors.New("no"))
			s.run(t.Context())
			s.kept(t)
			want := map[string]Status{"a.test/me/app:1": Failed, "b.test/me/app:1": Pushed}
			if got := s.status(); !maps.Equal(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
			if got := slices.Collect(maps.Keys(s.failures())); !slices.Equal(got, []string{"a.test"}) {
				t.Errorf("failed: %v", got)
			}
		})
	}
}

func TestImmutableTags(t *testing.T) {
	s := newSetup(t, twoPlatforms(t, "old"), "a.test/me/app:1.2.3")
	s.run(t.Context())
	was := s.hosts["a.test"].tags()
	again := newSetup(t, twoPlatforms(t, "new"), "a.test/me/app:1.2.3", "a.test/me/app:latest", "b.test/me/app:1.2.3")
	again.hosts["a.test"] = s.hosts["a.test"]
	again.settings.ImmutableTags = regexp.MustCompile(`^(?:\d+\.\d+\.\d+)$`)
	again.run(t.Context())
	if got := again.hosts["a.test"].tags(); !maps.Equal(got, was) {
		t.Errorf("a.test serves %v, want %v", got, was)
	}
	if !again.failedWith("a.test", usererror.ImmutableTag) {
		t.Errorf("failures: %v", again.failures())
	}
	if got := again.status()["b.test/me/app:1.2.3"]; got != Pushed {
		t.Errorf("b.test is %s", got)
	}
}

func TestVerifyFindsAnotherDigest(t *testing.T) {
	s := newSetup(t, twoPlatforms(t, "new"), "a.test/me/app:1")
	other := twoPlatforms(t, "other")
	h := s.hosts["a.test"]
	looks := 0
	h.fail = func(call string) error {
		if call == "Stat me/app 1" {
			if looks++; looks == 2 { // the one after the write
				h.mu.Lock()
				defer h.mu.Unlock()
				h.at("me/app").manifests[other.Descriptor.Digest.String()] = other.Raw
				h.at("me/app").tags["1"] = other.Descriptor.Digest.String()
			}
		}
		return nil
	}
	s.run(t.Context())
	if !s.failedWith("a.test", usererror.VerifyMismatch) || s.status()["a.test/me/app:1"] != Failed {
		t.Errorf("status %v, failures %v", s.status(), s.failures())
	}
}

func TestDryRunWritesNothing(t *testing.T) {
	s := newSetup(t, twoPlatforms(t, "new"), everywhere...)
	s.settings.DryRun = true
	s.run(t.Context())
	for _, h := range s.hosts {
		for _, c := range h.calls {
			if strings.HasPrefix(c, "Upload") || strings.HasPrefix(c, "PutManifest") || strings.HasPrefix(c, "StartUpload") || strings.HasPrefix(c, "DeleteTag") {
				t.Errorf("%s: %s", h.name, c)
			}
		}
	}
	for ref, status := range s.status() {
		if status != Planned {
			t.Errorf("%s is %s", ref, status)
		}
	}
}

// A cancelled run has seconds to end in: in a bubble they do not pass while it has something to do.
func TestCancelled(t *testing.T) {
	for _, atomic := range []bool{false, true} {
		for _, at := range []string{"Login", "Upload", "PutManifest me/app sha256", "PutManifest me/app 1"} {
			t.Run(fmt.Sprintf("%s, atomic %v", at, atomic), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { cancelledAt(t, at, atomic) })
			})
		}
	}
}

func cancelledAt(t *testing.T, at string, atomic bool) {
	s := newSetup(t, twoPlatforms(t, "new"), everywhere...)
	s.settings.Atomic = atomic
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s.hosts["a.test"].fail = func(call string) error {
		if strings.HasPrefix(call, at) {
			cancel()
			return ctx.Err()
		}
		return nil
	}
	s.run(ctx)
	s.kept(t)
	if !s.result.Cancelled {
		t.Error("the result does not say so")
	}
	if atomic {
		for _, h := range s.hosts {
			if got := h.tags(); len(got) > 0 {
				t.Errorf("%s was left with %v", h.name, got)
			}
		}
	}
	if len(s.status()) != len(everywhere) {
		t.Errorf("a word is missing: %v", s.status())
	}
}

func TestStalledLoginHoldsNobodyBack(t *testing.T) {
	s := newSetup(t, twoPlatforms(t, "new"), "a.test/me/app:1", "b.test/me/app:1")
	tagged := make(chan struct{})
	s.hosts["a.test"].fail = func(call string) error {
		if strings.HasPrefix(call, "Login") {
			<-tagged // only when b.test has its tag
			return usererror.New(usererror.Unreachable, "a.test", "login", "", nil)
		}
		return nil
	}
	s.hosts["b.test"].fail = func(call string) error {
		if call == "PutManifest me/app 1" {
			close(tagged)
		}
		return nil
	}
	s.run(t.Context())
	if got := s.status()["b.test/me/app:1"]; got != Pushed {
		t.Errorf("b.test is %s", got)
	}
	if !s.failedWith("a.test", usererror.Unreachable) {
		t.Errorf("failures: %v", s.failures())
	}
}

// TestFallbackTagOfTwoJobs has another job write the list of referrers at the worst of moments:
// after ours has read it, and from what was there before ours had written it.
func TestFallbackTagOfTwoJobs(t *testing.T) {
	for _, moment := range []string{"before the write", "in the write", "after the write"} {
		for _, atomic := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, atomic %v", moment, atomic), func(t *testing.T) {
				root := twoPlatforms(t, "new")
				subject := root.Descriptor
				sbom := newManifest(t, &subject, newBlob("{}", "application/spdx+json"))
				s := newSetup(t, root, "a.test/me/app:1")
				s.settings.Atomic = atomic
				s.deps.VerifyPauses = []time.Duration{time.Millisecond, time.Millisecond}
				s.referrers(root, source.Referrer{Manifest: sbom})
				fallback := "sha256-" + subject.Digest.Hex
				theirs := v1.Descriptor{Digest: v1.Hash{Algorithm: "sha256", Hex: strings.Repeat("ab", 32)}, ArtifactType: "theirs", Size: 3, MediaType: types.OCIManifestSchema1}
				index := seal(t, &source.Manifest{}, v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: []v1.Descriptor{theirs}}, types.OCIImageIndex)
				h := s.hosts["a.test"]
				looks, writes := 0, 0
				h.fail = func(call string) error {
					h.mu.Lock()
					defer h.mu.Unlock()
					now := ""
					switch {
					case strings.HasPrefix(call, "PutManifest me/app "+fallback):
						if writes++; writes == 1 {
							now = "in the write" // the registry honours conditions
						}
					case strings.HasPrefix(call, "Referrers "):
						if looks++; looks == 2 {
							now = "before the write"
						} else if looks == 3 && writes > 0 {
							now = "after the write"
						}
					}
					if now == moment {
						r := h.at("me/app")
						r.manifests[index.Descriptor.Digest.String()] = index.Raw
						r.tags[fallback] = index.Descriptor.Digest.String()
					}
					return nil
				}
				s.run(t.Context())
				if len(s.failures()) > 0 {
					t.Errorf("failures: %v", s.failures())
				}
				there, _, _ := (&fakeView{h, "me/app"}).Referrers(t.Context(), subject.Digest.String())
				var digests []string
				for _, d := range there {
					digests = append(digests, d.Digest.String())
				}
				if want := []string{theirs.Digest.String(), sbom.Descriptor.Digest.String()}; !slices.Equal(digests, want) {
					t.Errorf("the list names %v, want %v", digests, want)
				}
			})
		}
	}
}

func TestFallbackTagKeepsWhatOthersPut(t *testing.T) {
	root := twoPlatforms(t, "new")
	subject := root.Descriptor
	sbom := newManifest(t, &subject, newBlob("{}", "application/spdx+json"))
	signature := newManifest(t, nil, newBlob("{} ", "application/cosign"))
	s := newSetup(t, root, "a.test/me/app:1", "b.test/me/app:1")
	s.hosts["b.test"].api = true
	s.referrers(root, source.Referrer{Manifest: sbom}, source.Referrer{Manifest: signature, Tag: "sha256-" + subject.Digest.Hex + ".sig"})
	fallback := "sha256-" + subject.Digest.Hex
	theirs := v1.Descriptor{Digest: v1.Hash{Algorithm: "sha256", Hex: strings.Repeat("ab", 32)}, ArtifactType: "theirs", Size: 3, MediaType: types.OCIManifestSchema1}
	index := seal(t, &source.Manifest{}, v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: []v1.Descriptor{theirs}}, types.OCIImageIndex)
	a := s.hosts["a.test"].at("me/app")
	a.manifests[index.Descriptor.Digest.String()] = index.Raw
	a.tags[fallback] = index.Descriptor.Digest.String()
	s.run(t.Context())
	there, _, _ := (&fakeView{s.hosts["a.test"], "me/app"}).Referrers(t.Context(), subject.Digest.String())
	var digests []string
	for _, d := range there {
		digests = append(digests, d.Digest.String())
	}
	if want := []string{theirs.Digest.String(), sbom.Descriptor.Digest.String()}; !slices.Equal(digests, want) {
		t.Errorf("the fallback tag names %v, want %v", digests, want)
	}
	b := s.hosts["b.test"].at("me/app")
	if b.tags[fallback] != "" {
		t.Errorf("b.test has the API and got a fallback tag")
	}
	for _, r := range []*fakeRepo{a, b} {
		if r.tags[fallback+".sig"] != signature.Descriptor.Digest.String() || r.manifests[sbom.Descriptor.Digest.String()] == nil {
			t.Errorf("not all referrers arrived: %v", r.tags)
		}
	}
	s.run(t.Context())
	if n := s.hosts["a.test"].count("PutManifest me/app " + fallback); n != 2 { // the fallback tag and the .sig, once each
		t.Errorf("referrers' tags were written %d times", n)
	}
}

func TestUntrustedIsSkipped(t *testing.T) {
	for _, c := range []struct {
		own, untrusted, fail, skipped bool
	}{
		{true, true, false, true}, {true, false, false, false}, {false, true, false, false}, {true, true, true, false},
	} {
		s := newSetup(t, twoPlatforms(t, "new"), "ghcr.io/me/app:1")
		s.untrusted, s.settings.FailOnMissing = c.untrusted, c.fail
		s.credential = func(_ imageref.Repository) credentials.Credential {
			return credentials.Credential{JobToken: c.own}
		}
		s.hosts["ghcr.io"].fail = failing("StartUpload", usererror.New(usererror.NoPushPermission, "ghcr.io", "push", "", nil))
		s.run(t.Context())
		skipped := s.registry("ghcr.io").Status() == Skipped
		if skipped != c.skipped || skipped == (len(s.failures()) > 0) {
			t.Errorf("%+v: skipped %v, failures %v", c, skipped, s.failures())
		}
	}
}

// TestAnyStateKeepsThePromise runs random plans over random states, with random failures.
func TestAnyStateKeepsThePromise(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	pick := func(n int) int { return rnd.IntN(n) }
	for range 300 {
		var refs []string
		for range 1 + pick(6) {
			refs = append(refs, fmt.Sprintf("%c.test/me/%c:%d", 'a'+pick(3), 'x'+pick(2), pick(3)))
		}
		hosts := map[string]*fakeHost{}
		for round := range 3 {
			root := twoPlatforms(t, fmt.Sprint(pick(3)))
			s := newSetup(t, root, refs...)
			for name, h := range s.hosts {
				if hosts[name] != nil {
					s.hosts[name] = hosts[name]
				} else {
					hosts[name] = h
				}
			}
			s.settings.Atomic = pick(2) == 0
			s.settings.Concurrency = 1 + pick(4)
			p := pick(4) * round
			var mu sync.Mutex
			for _, h := range s.hosts {
				h.fail = func(string) error {
					mu.Lock()
					defer mu.Unlock()
					if pick(100) < p {
						return errors.New("chance")
					}
					return nil
				}
			}
			s.run(t.Context())
			s.kept(t)
			if len(s.status()) != len(slices.Compact(slices.Sorted(slices.Values(refs)))) {
				t.Errorf("asked %v, answered %v", refs, s.status())
			}
		}
	}
}

// TestRegistryDies lets one registry of two die at every call in turn. With atomic, no
// tag that still can be reached is left moved, and those that cannot are the ones reported.
func TestRegistryDies(t *testing.T) {
	for n := 0; ; n++ {
		s := newSetup(t, twoPlatforms(t, "old"), everywhere...)
		s.run(t.Context())
		was := s.hosts["b.test"].tags()
		wasA := s.hosts["a.test"].tags()
		fresh := twoPlatforms(t, "new")
		again := newSetup(t, fresh, everywhere...)
		again.hosts = s.hosts
		again.settings.Atomic = true
		var mu sync.Mutex
		calls := 0
		s.hosts["a.test"].fail = func(string) error {
			mu.Lock()
			defer mu.Unlock()
			if calls++; calls > n {
				return usererror.New(usererror.RegistryGaveUp, "a.test", "calling", "", errors.New("dead"))
			}
			return nil
		}
		again.run(t.Context())
		again.kept(t)
		if calls <= n {
			return // it lived to the end
		}
		digest := fresh.Descriptor.Digest.String()
		moved := map[string]bool{}
		for ref, d := range s.hosts["a.test"].tags() {
			if d != wasA[ref] {
				moved["a.test/"+ref] = true
			}
		}
		if d := s.hosts["b.test"].tags(); !maps.Equal(d, was) && len(moved) < 3 {
			t.Errorf("call %d: b.test was left with %v although a.test only has %v", n, d, moved)
		}
		for ref := range moved {
			if len(moved) == 3 {
				break // all are new: it died while they were verified
			}
			reported := slices.ContainsFunc(again.failures()["a.test"], func(err error) bool {
				return usererror.Is(err, usererror.NotPutBack) && strings.Contains(err.Error(), ref+" ")
			})
			if !reported {
				t.Errorf("call %d: %s serves %s and nobody said so: %v", n, ref, digest, again.failures())
			}
		}
	}
}

func TestPullsLeft(t *testing.T) {
	for _, c := range []struct {
		remaining int
		warning   bool
		want      string
	}{
		{87, false, "docker.io: 87 of 100 pulls left in 6 hours"},
		{10, true, "docker.io: 10 of 100 pulls left in 6 hours; log in, or use an account with a higher limit"},
	} {
		text, few := pullsLeft(imageref.Repository{Host: "docker.io", Path: "library/nginx"},
			registry.RateLimit{Limit: 100, Remaining: c.remaining, Window: 6 * time.Hour})
		if text != c.want || few != c.warning {
			t.Errorf("said %q, want %q", text, c.want)
		}
	}
}
