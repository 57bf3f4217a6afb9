package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/multi-registry-push/multi-registry-push/internal/registry/transport"
)

// pageType is what no manifest and no blob is: a page for people.
const pageType = "text/html"

// errIncomplete says that an answer to HEAD does not tell what a GET will.
var errIncomplete = errors.New("the answer lacks what was asked for")

// Stat returns a manifest's descriptor, by tag or digest, without its bytes where
// the registry tells the digest. ErrNotFound if there is none.
//
// Some registries refuse in place of saying that something is not there (400, 401, 403,
// 405, 501, or 500 again and again). Of a digest that is ErrNotFound where StartUpload proved
// the permission to push, or does so meanwhile; the write will tell. A tag is asked for
// by GET then, too. What stays unclear is ErrUnclear.
func (r *Repository) Stat(ctx context.Context, ref string) (v1.Descriptor, error) {
	doing := "asking for manifest " + short(ref)
	isTag := !strings.Contains(ref, ":")
	var d v1.Descriptor
	err := errIncomplete
	if !r.c.headLies.Load() {
		d, err = r.headManifest(ctx, doing, ref)
	}
	var answer *Error
	refused := errors.As(err, &answer)
	switch {
	case err == nil:
		return d, nil
	case refused && answer.Status == http.StatusNotFound && r.doubts(ref, answer):
		if _, d, err = r.manifest(ctx, doing, ref, r.question(patientErrors)); err == nil {
			r.c.headLies.Store(true)
		}
	case errors.Is(err, errIncomplete), isTag && unclear(err),
		refused && (answer.Status == http.StatusMethodNotAllowed || answer.Status == http.StatusNotImplemented):
		_, d, err = r.manifest(ctx, doing, ref, r.question(patientErrors))
	}
	if err != nil {
		return v1.Descriptor{}, r.explain(ctx, doing, false, r.settle(ctx, err, isTag))
	}
	return d, nil
}

// headManifest asks for a manifest by HEAD. errIncomplete means that a GET will tell.
func (r *Repository) headManifest(ctx context.Context, doing, ref string) (d v1.Descriptor, err error) {
	q := r.question(mostErrors)
	err = r.retrying(ctx, doing, func(ctx context.Context) error {
		resp, err := r.once(ctx, call{
			doing: doing, method: http.MethodHead, url: r.at("/manifests/"+ref, nil),
			header: http.Header{"Accept": {accept}},
			want:   []int{http.StatusOK},
		})
		if err != nil {
			return q.failed(ctx, err)
		}
		defer transport.Drain(resp)
		digest := resp.Header.Get(digestHeader)
		if digest == "" && strings.Contains(ref, ":") {
			digest = ref
		}
		hash, err := v1.NewHash(digest)
		if err != nil || resp.ContentLength <= 0 || mediaTypeOf(resp.Header) == pageType {
			return errIncomplete
		}
		if strings.Contains(ref, ":") && digest != ref {
			return r.failed(DigestMismatch,
				fmt.Sprintf("asked for manifest %s, the registry answers for %s", short(ref), hash), nil)
		}
		mediaType := types.MediaType(transport.Cut(mediaTypeOf(resp.Header)))
		d = v1.Descriptor{MediaType: mediaType, Digest: hash, Size: resp.ContentLength}
		return nil
	})
	return d, err
}

// unclear reports whether a refusal may stand for "not there": Artifactory's virtual
// repositories, and others, answer so though the right to push was just proved. A token
// server's refusal never does.
func unclear(err error) bool {
	var answer *Error
	if !errors.As(err, &answer) || answer.TokenService || missing(answer) {
		return false
	}
	switch answer.Status {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusMethodNotAllowed,
		http.StatusInternalServerError, http.StatusNotImplemented:
		return true
	}
	return false
}

// settle says of an unclear answer what it comes to: see Stat.
func (r *Repository) settle(ctx context.Context, err error, isTag bool) error {
	switch {
	case !unclear(err):
		return err
	case !isTag && r.permission.wait(ctx):
		return fmt.Errorf("%w: %w", ErrNotFound, err)
	}
	return &unclearError{err}
}

// unclearError is ErrUnclear in the registry's words.
type unclearError struct{ err error }

func (e *unclearError) Error() string        { return e.err.Error() }
func (e *unclearError) Unwrap() error        { return e.err }
func (e *unclearError) Is(target error) bool { return target == ErrUnclear }

// How often 500 is answered to a question before it is taken for "not there", where
// pushing is allowed.
const (
	mostErrors    = 2
	patientErrors = 4 // where that is the last resort
)

// question is one question for what may not be there.
type question struct {
	r      *Repository
	most   int // answers of 500
	errors int // so far
}

func (r *Repository) question(most int) *question { return &question{r: r, most: most} }

// failed returns err, which is final where 500 is the registry's way to say "not there".
func (q *question) failed(ctx context.Context, err error) error {
	var answer *Error
	if q == nil || !errors.As(err, &answer) || answer.TokenService || answer.Status != http.StatusInternalServerError {
		return err
	}
	if q.errors++; q.errors < q.most || !q.r.permission.wait(ctx) {
		return err
	}
	return &transport.GaveUpError{Err: err, Tries: q.errors}
}

// doubts reports whether a 404 to HEAD has to be confirmed by GET: where the host is one
// of those that answer so to every HEAD (Nexus, by its Server header), and where we
// wrote the manifest ourselves. The latter is doubted once.
func (r *Repository) doubts(ref string, answer *Error) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	written := r.written[ref]
	delete(r.written, ref)
	return written || strings.HasPrefix(strings.ToLower(answer.Server), "nexus")
}

// wrote notes that a manifest was written.
func (r *Repository) wrote(ref string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.written[ref] = true
}

// StatBlob returns a blob's size, -1 if the registry has it but does not tell.
// ErrNotFound if there is none; for answers that do not tell see Stat.
func (r *Repository) StatBlob(ctx context.Context, digest string) (int64, error) {
	doing := "asking for blob " + short(digest)
	size, err := r.statBlob(ctx, doing, digest)
	return size, r.explain(ctx, doing, false, err)
}

func (r *Repository) statBlob(ctx context.Context, doing, digest string) (int64, error) {
	q := r.question(mostErrors)
	var size int64
	err := r.retrying(ctx, doing, func(ctx context.Context) error {
		resp, err := r.once(ctx, call{
			doing: doing, method: http.MethodHead, url: r.at("/blobs/"+digest, nil),
			want: []int{
				http.StatusOK, http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther,
				http.StatusTemporaryRedirect, http.StatusPermanentRedirect,
			},
		})
		if err != nil {
			return q.failed(ctx, err)
		}
		transport.Drain(resp)
		switch size = resp.ContentLength; {
		case resp.StatusCode != http.StatusOK:
			size, err = r.statRedirected(ctx, doing, resp)
		case size <= 0 && !emptyBlob(digest), mediaTypeOf(resp.Header) == pageType:
			size, err = r.statByGet(ctx, doing, digest)
		}
		return q.failed(ctx, err)
	})
	if err != nil {
		return 0, r.settle(ctx, err, false)
	}
	return size, nil
}

// emptyBlob reports whether a digest is that of no bytes at all.
func emptyBlob(digest string) bool {
	empty, err := digestOf(hashOf(digest).Algorithm, nil)
	return err == nil && digest == empty.String()
}

// statByGet asks for a blob's first byte, where HEAD tells no size, or is answered as no blob
// is: some registries answer 200 to every HEAD.
func (r *Repository) statByGet(ctx context.Context, doing, digest string) (int64, error) {
	size, err := r.statAt(ctx, call{
		doing: doing, method: http.MethodGet, url: r.at("/blobs/"+digest, nil),
		header: http.Header{"Range": {"bytes=0-0"}}, want: []int{http.StatusOK, http.StatusPartialContent},
	})
	if err == nil && size == 0 {
		err = fmt.Errorf("%w: the registry has nothing of it", ErrNotFound)
	}
	return -1, err
}

// statRedirected asks where a blob's HEAD was redirected to. What is within the host is the
// registry's own answer. A storage counts as having the blob unless it says that it has
// not: some sign for GET only, and refuse HEAD (S3; ECR Public).
func (r *Repository) statRedirected(ctx context.Context, doing string, redirect *http.Response) (int64, error) {
	u, err := r.c.host.Target(redirect.Request.URL, redirect.Header.Get("Location"))
	if err != nil {
		return -1, nil // where we do not go: the registry's word is all there is
	}
	k := call{
		doing: doing, method: http.MethodHead, url: u, away: transport.FromElsewhere(redirect),
		want: []int{http.StatusOK, http.StatusPartialContent},
	}
	size, err := r.statAt(ctx, k)
	var answer *Error
	if errors.As(err, &answer) && answer.Elsewhere {
		switch answer.Status {
		case http.StatusUnauthorized, http.StatusForbidden, http.StatusMethodNotAllowed:
			k.method, k.header = http.MethodGet, http.Header{"Range": {"bytes=0-0"}}
			_, err = r.statAt(ctx, k)
			size = -1
		}
	}
	switch {
	case err == nil, ctx.Err() != nil, errors.Is(err, ErrNotFound):
		return size, err
	case errors.As(err, &answer) && !answer.Elsewhere || r.c.host.Owns(u) && !k.away && !errors.As(err, &answer):
		return 0, err
	}
	return -1, nil
}

// statAt makes a request for a blob of which only the answer's headers count. A page of
// HTML is no blob: a login page, say.
func (r *Repository) statAt(ctx context.Context, k call) (int64, error) {
	resp, err := r.once(ctx, k)
	if err != nil {
		return 0, err
	}
	_ = resp.Body.Close() // whoever does not know ranges may send all of it
	if mediaTypeOf(resp.Header) == pageType {
		return 0, fmt.Errorf("%w: %s answers with a page of HTML", ErrNotFound, r.c.host.Redact(place(resp, k.url)))
	}
	return resp.ContentLength, nil
}

// place returns host and path of where an answer came from.
func place(resp *http.Response, asked *url.URL) string {
	if resp.Request != nil {
		asked = resp.Request.URL
	}
	return asked.Host + asked.Path
}
