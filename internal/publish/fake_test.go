package publish

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/multi-registry-push/multi-registry-push/internal/config"
	"github.com/multi-registry-push/multi-registry-push/internal/credentials"
	"github.com/multi-registry-push/multi-registry-push/internal/image"
	"github.com/multi-registry-push/multi-registry-push/internal/imageref"
	"github.com/multi-registry-push/multi-registry-push/internal/registry"
	"github.com/multi-registry-push/multi-registry-push/internal/source"
	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

// fakeHost is a registry in memory that refuses what is not whole, as real ones do, and
// fails where a test wants it to. The real servers are in test/e2e; here, every order of
// events can be tried in little time.
type fakeHost struct {
	name string
	mu   sync.Mutex
	repo map[string]*fakeRepo

	calls   []string                // "Upload me/app sha256:…"
	fail    func(call string) error // nil: nothing fails
	tagless bool                    // cannot delete tags
	lax     bool                    // does not look at conditions
	api     bool                    // has the referrers API
	broken  []string                // promises that were not kept
}

type fakeRepo struct {
	blobs     map[string]bool
	sizes     map[string]int64 // that HEAD tells of blobs, in bytes
	manifests map[string][]byte
	types     map[string]string
	tags      map[string]string
}

func newHost(name string) *fakeHost { return &fakeHost{name: name, repo: map[string]*fakeRepo{}} }

// Repository implements Host.
func (h *fakeHost) Repository(path string) Repository { return &fakeView{h, path} }

// Stats implements Host.
func (h *fakeHost) Stats() registry.Stats { return registry.Stats{} }

// Preconnect implements Host.
func (h *fakeHost) Preconnect([]int64) {}

// Close implements Host.
func (h *fakeHost) Close() {}

func (h *fakeHost) at(path string) *fakeRepo {
	if h.repo[path] == nil {
		h.repo[path] = &fakeRepo{blobs: map[string]bool{}, manifests: map[string][]byte{}, types: map[string]string{}, tags: map[string]string{}}
	}
	return h.repo[path]
}

// tags returns path:tag → digest.
// refuseAfter makes the call with this beginning fail, once after is closed.
func (h *fakeHost) refuseAfter(beginning string, after <-chan struct{}) {
	h.fail = func(call string) error {
		if strings.HasPrefix(call, beginning) {
			<-after
			return errors.New("refused")
		}
		return nil
	}
}

func (h *fakeHost) tags() map[string]string {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := map[string]string{}
	for path, r := range h.repo {
		for tag, d := range r.tags {
			out[path+":"+tag] = d
		}
	}
	return out
}

// serve makes a tag serve a manifest, with all that this needs, as if somebody else had written it.
func (h *fakeHost) serve(path, tag string, m *source.Manifest) {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := h.at(path)
	for _, one := range image.ChildrenFirst(m) {
		for _, b := range one.Blobs {
			d, _ := b.Descriptor(context.Background())
			r.blobs[d.Digest.String()] = true
		}
		r.manifests[one.Descriptor.Digest.String()] = one.Raw
		r.types[one.Descriptor.Digest.String()] = string(one.Descriptor.MediaType)
	}
	r.tags[tag] = m.Descriptor.Digest.String()
}

func (h *fakeHost) count(prefix string) (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range h.calls {
		if strings.HasPrefix(c, prefix) {
			n++
		}
	}
	return n
}

type fakeView struct {
	h    *fakeHost
	path string
}

var errNoSuch = registry.ErrNotFound

// call notes a call and returns the repository, locked, or the error that the test wants.
func (v *fakeView) call(ctx context.Context, name, what string) (*fakeRepo, func(), error) {
	v.h.mu.Lock()
	call := name + " " + v.path + " " + what
	v.h.calls = append(v.h.calls, call)
	fail := v.h.fail
	v.h.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	if fail != nil {
		if err := fail(call); err != nil {
			return nil, nil, err
		}
	}
	v.h.mu.Lock()
	return v.h.at(v.path), v.h.mu.Unlock, nil
}

func (v *fakeView) StartUpload(ctx context.Context) error { return v.plain(ctx, "StartUpload") }

func (v *fakeView) OpenUploads(ctx context.Context, n int) func() {
	_ = v.plain(ctx, fmt.Sprint("OpenUploads ", n))
	return func() {}
}

func (v *fakeView) CancelUploads() {}

func (v *fakeView) CheckPublic(ctx context.Context, ref string) error {
	_, unlock, err := v.call(ctx, "CheckPublic", ref)
	if err == nil {
		unlock()
	}
	return err
}

func (v *fakeView) Login(ctx context.Context) error     { return v.plain(ctx, "Login") }
func (v *fakeView) CheckPull(ctx context.Context) error { return v.plain(ctx, "CheckPull") }

func (v *fakeView) plain(ctx context.Context, name string) error {
	_, unlock, err := v.call(ctx, name, "")
	if err == nil {
		unlock()
	}
	return err
}

func (v *fakeView) Manifest(ctx context.Context, ref string) ([]byte, v1.Descriptor, error) {
	r, unlock, err := v.call(ctx, "Manifest", ref)
	if err != nil {
		return nil, v1.Descriptor{}, err
	}
	defer unlock()
	digest, ok := r.tags[ref]
	if !ok {
		digest = ref
	}
	raw, ok := r.manifests[digest]
	if !ok {
		return nil, v1.Descriptor{}, errNoSuch
	}
	h, _ := v1.NewHash(digest)
	return raw, v1.Descriptor{Digest: h, Size: int64(len(raw)), MediaType: types.MediaType(r.types[digest])}, nil
}

func (v *fakeView) Stat(ctx context.Context, ref string) (v1.Descriptor, error) {
	r, unlock, err := v.call(ctx, "Stat", ref)
	if err != nil {
		return v1.Descriptor{}, err
	}
	defer unlock()
	digest, ok := r.tags[ref]
	if !ok {
		digest = ref
	}
	raw, ok := r.manifests[digest]
	if !ok {
		return v1.Descriptor{}, errNoSuch
	}
	h, _ := v1.NewHash(digest)
	return v1.Descriptor{Digest: h, Size: int64(len(raw)), MediaType: types.MediaType(r.types[digest])}, nil
}

func (v *fakeView) PutManifest(ctx context.Context, ref string, raw []byte, mediaType string, cond registry.Condition) (registry.PutResult, error) {
	r, unlock, err := v.call(ctx, "PutManifest", ref)
	if err != nil {
		return registry.PutResult{}, err
	}
	defer unlock()
	digest, _, _ := v1.SHA256(bytes.NewReader(raw))
	if !json.Valid(raw) {
		return registry.PutResult{}, errors.New("400 MANIFEST_INVALID")
	}
	if strings.HasPrefix(ref, "sha256:") && ref != digest.String() {
		return registry.PutResult{}, errors.New("400 DIGEST_INVALID")
	}
	if why := r.lacks(raw); why != "" {
		v.h.broken = append(v.h.broken, fmt.Sprintf("%s/%s: %s was written before %s", v.h.name, v.path, ref, why))
		return registry.PutResult{}, errors.New("MANIFEST_BLOB_UNKNOWN")
	}
	if !v.h.lax && (cond.IfNoneMatch && r.tags[ref] != "" || cond.IfMatch != "" && r.tags[ref] != cond.IfMatch) {
		return registry.PutResult{}, registry.ErrPrecondition
	}
	r.manifests[digest.String()] = raw
	r.types[digest.String()] = mediaType
	if !strings.HasPrefix(ref, "sha256:") {
		r.tags[ref] = digest.String()
	}
	return registry.PutResult{}, nil
}

// lacks returns what raw points at that is not there, "" if it is whole.
func (r *fakeRepo) lacks(raw []byte) string {
	index, err := v1.ParseIndexManifest(bytes.NewReader(raw))
	if err == nil && len(index.Manifests) > 0 && index.Manifests[0].ArtifactType == "" {
		for _, d := range index.Manifests {
			if m, ok := r.manifests[d.Digest.String()]; !ok {
				return "manifest " + d.Digest.String()
			} else if why := r.lacks(m); why != "" {
				return why
			}
		}
		return ""
	}
	m, err := v1.ParseManifest(bytes.NewReader(raw))
	if err != nil || m.Config.Size == 0 {
		return ""
	}
	for _, d := range append(m.Layers, m.Config) {
		if !r.blobs[d.Digest.String()] {
			return "blob " + d.Digest.String()
		}
	}
	return ""
}

func (v *fakeView) DeleteTag(ctx context.Context, tag string) error {
	r, unlock, err := v.call(ctx, "DeleteTag", tag)
	if err != nil {
		return err
	}
	defer unlock()
	if v.h.tagless {
		return registry.ErrUnsupported
	}
	if r.tags[tag] == "" {
		return errNoSuch
	}
	delete(r.tags, tag)
	return nil
}

func (v *fakeView) StatBlob(ctx context.Context, digest string) (int64, error) {
	r, unlock, err := v.call(ctx, "StatBlob", digest)
	if err != nil {
		return 0, err
	}
	defer unlock()
	if !r.blobs[digest] {
		return 0, errNoSuch
	}
	if size, ok := r.sizes[digest]; ok {
		return size, nil
	}
	return -1, nil
}

func (v *fakeView) OpenBlob(context.Context, v1.Descriptor, int64) (io.ReadCloser, error) {
	return nil, errors.New("nobody reads from here")
}

func (v *fakeView) Upload(ctx context.Context, d v1.Descriptor, from []string, c registry.Content, p registry.Progress) (registry.How, error) {
	r, unlock, err := v.call(ctx, "Upload", d.Digest.String())
	if err != nil {
		return "", err
	}
	for _, path := range from {
		if v.h.at(path).blobs[d.Digest.String()] {
			r.blobs[d.Digest.String()] = true
			unlock()
			return registry.Mounted, nil
		}
	}
	unlock()
	rc, err := c.Open(ctx, 0)
	if err != nil {
		return "", err
	}
	defer rc.Close()
	b, err := io.ReadAll(rc)
	if err != nil {
		return "", err
	}
	p.Sent(int64(len(b)))
	v.h.mu.Lock()
	defer v.h.mu.Unlock()
	r.blobs[d.Digest.String()] = true
	return registry.Uploaded, nil
}

func (v *fakeView) Referrers(ctx context.Context, digest string) ([]v1.Descriptor, bool, error) {
	r, unlock, err := v.call(ctx, "Referrers", digest)
	if err != nil {
		return nil, false, err
	}
	defer unlock()
	if v.h.api {
		return nil, true, nil
	}
	index, err := v1.ParseIndexManifest(bytes.NewReader(r.manifests[r.tags[strings.Replace(digest, ":", "-", 1)]]))
	if err != nil {
		return nil, false, nil
	}
	return index.Manifests, false, nil
}

func (v *fakeView) Tags(context.Context) ([]string, error) {
	v.h.mu.Lock()
	defer v.h.mu.Unlock()
	return slices.Sorted(maps.Keys(v.h.at(v.path).tags)), nil
}

// fakeBlob is a blob in memory.
type fakeBlob struct {
	d    v1.Descriptor
	data []byte
}

func newBlob(text string, mediaType types.MediaType) *fakeBlob {
	h, n, _ := v1.SHA256(strings.NewReader(text))
	return &fakeBlob{v1.Descriptor{Digest: h, Size: n, MediaType: mediaType}, []byte(text)}
}

func (b *fakeBlob) Descriptor(context.Context) (v1.Descriptor, error) { return b.d, nil }
func (b *fakeBlob) Open(_ context.Context, offset int64) (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(b.data[offset:])), nil
}

// newManifest returns an image's manifest over blobs, the first of which is its config.
func newManifest(t testing.TB, subject *v1.Descriptor, blobs ...*fakeBlob) *source.Manifest {
	out := &source.Manifest{Subject: subject}
	m := v1.Manifest{SchemaVersion: 2, MediaType: types.OCIManifestSchema1, Config: blobs[0].d, Subject: subject}
	for i, b := range blobs {
		if i > 0 {
			m.Layers = append(m.Layers, b.d)
		}
		out.Blobs = append(out.Blobs, b)
	}
	return seal(t, out, m, types.OCIManifestSchema1)
}

// newIndex returns an index over children.
func newIndex(t testing.TB, children ...*source.Manifest) *source.Manifest {
	m := v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex}
	for _, c := range children {
		m.Manifests = append(m.Manifests, c.Descriptor)
	}
	return seal(t, &source.Manifest{Manifests: children}, m, types.OCIImageIndex)
}

// twoPlatforms is an index of two platforms that share a layer.
func twoPlatforms(t testing.TB, salt string) *source.Manifest {
	shared := newBlob("shared layer", types.OCILayer)
	amd := newManifest(t, nil, newBlob("config amd64 "+salt, types.OCIConfigJSON), shared, newBlob("layer amd64 "+salt, types.OCILayer))
	arm := newManifest(t, nil, newBlob("config arm64 "+salt, types.OCIConfigJSON), shared, newBlob("layer arm64 "+salt, types.OCILayer))
	amd.Descriptor.Platform = &v1.Platform{OS: "linux", Architecture: "amd64"}
	arm.Descriptor.Platform = &v1.Platform{OS: "linux", Architecture: "arm64"}
	return newIndex(t, amd, arm)
}

// setup is a run against fake hosts.
type setup struct {
	hosts      map[string]*fakeHost
	settings   config.Settings
	untrusted  bool
	credential func(imageref.Repository) credentials.Credential
	deps       Deps
	observer   Observer
	result     Result
}

// newSetup returns a run of root to references, on hosts that are all enabled.
func newSetup(t testing.TB, root *source.Manifest, references ...string) *setup {
	s := &setup{hosts: map[string]*fakeHost{}, observer: quiet{}}
	var to []config.Destination
	for i, ref := range references {
		at := parse(ref)
		to = append(to, config.Destination{Reference: at, Line: i + 1})
		if s.hosts[at.Host] == nil {
			s.hosts[at.Host] = newHost(at.Host)
		}
	}
	s.settings.Images = []config.Image{{Source: "test", Destinations: to}}
	s.credential = func(r imageref.Repository) credentials.Credential {
		return credentials.Credential{Origin: "test", Key: r.Host}
	}
	s.deps.Connect = func(host string, _ bool, _ func(string) credentials.Credential) Host { return s.hosts[host] }
	s.deps.Open = func(context.Context, Image, func(imageref.Repository) source.RemoteRepository, func([]v1.Descriptor)) (*source.Image, error) {
		return source.NewImage("test", nil, root, nil), nil
	}
	s.deps.VerifyPauses = []time.Duration{}
	return s
}

func parse(ref string) imageref.Reference {
	host, rest, _ := strings.Cut(ref, "/")
	path, tag, _ := strings.Cut(rest, ":")
	return imageref.Reference{Repository: imageref.Repository{Host: host, Path: path}, Tag: tag}
}

// referrers makes the source have what refers to its root.
func (s *setup) referrers(root *source.Manifest, all ...source.Referrer) {
	s.settings.Referrers = true
	s.deps.Open = func(context.Context, Image, func(imageref.Repository) source.RemoteRepository, func([]v1.Descriptor)) (*source.Image, error) {
		return source.NewImage("test", nil, root, func(_ context.Context, m *source.Manifest) ([]source.Referrer, error) {
			if m != root {
				return nil, nil
			}
			return all, nil
		}), nil
	}
}

func (s *setup) plan() Plan {
	resolved := map[imageref.Repository]credentials.Credential{}
	for _, one := range s.settings.Images {
		for _, d := range one.Destinations {
			resolved[d.Reference.Repository] = s.credential(d.Reference.Repository)
		}
	}
	p := NewPlan(s.settings, resolved)
	p.Policy.Untrusted = s.untrusted
	return p
}

func (s *setup) run(ctx context.Context) { s.result = Run(ctx, s.plan(), s.deps, s.observer) }

// status returns the outcome of every reference that the plan did not leave out.
func (s *setup) status() map[string]Status {
	out := map[string]Status{}
	for _, r := range s.result.Registries {
		for _, ref := range r.References {
			if ref.SkipKind != SkipCredentials && ref.SkipKind != SkipTagsMatching {
				out[ref.Reference] = ref.Status
			}
		}
	}
	return out
}

func (s *setup) registry(host string) RegistryResult {
	for _, r := range s.result.Registries {
		if r.Host == host {
			return r
		}
	}
	return RegistryResult{}
}

// failures returns the failures that count, by registry.
func (s *setup) failures() map[string][]error {
	out := map[string][]error{}
	for _, r := range s.result.Registries {
		for _, f := range r.Failures {
			if !f.Optional {
				out[r.Host] = append(out[r.Host], f.Err)
			}
		}
	}
	return out
}

func (s *setup) failedWith(host string, code usererror.Code) bool {
	return slices.ContainsFunc(s.failures()[host], func(err error) bool { return usererror.Is(err, code) })
}

// quiet is an observer that looks away.
type quiet struct{}

func (quiet) Phase(string, Phase, time.Time, PhaseChange) {}
func (quiet) Bytes(string, int64, int64, int64)           {}
func (quiet) Image(int, ImageResult)                      {}
func (quiet) Reference(string, ReferenceResult)           {}
func (quiet) Note(Note)                                   {}
func (quiet) Failure(string, Failure)                     {}

// kept fails the test if a promise was broken.
func (s *setup) kept(t testing.TB) {
	t.Helper()
	for _, h := range s.hosts {
		for _, b := range h.broken {
			t.Error(b)
		}
		for path, r := range h.repo {
			for tag, digest := range r.tags {
				raw, ok := r.manifests[digest]
				if !ok {
					t.Errorf("%s/%s:%s names a manifest that is not there", h.name, path, tag)
				} else if why := r.lacks(raw); why != "" {
					t.Errorf("%s/%s:%s is not whole: no %s", h.name, path, tag, why)
				}
			}
		}
	}
}

func seal(t testing.TB, out *source.Manifest, m any, mediaType types.MediaType) *source.Manifest {
	t.Helper()
	raw, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	h, n, err := v1.SHA256(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	out.Raw = raw
	out.Descriptor = v1.Descriptor{MediaType: mediaType, Digest: h, Size: n}
	return out
}
