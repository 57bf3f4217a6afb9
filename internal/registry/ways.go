package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/multi-registry-push/multi-registry-push/internal/registry/auth"
	"github.com/multi-registry-push/multi-registry-push/internal/registry/transport"
)

// Sizes of the pieces of a blob where a registry, or a proxy before it, takes no body
// that large (413): half of what was refused, within these bounds. Where a connection
// breaks again and again at the same place they are tried one after the other: a proxy
// that refuses while it is still being sent to resets it, and its 413 is lost.
const (
	largestPiece  = 64 << 20
	middlePiece   = 8 << 20
	smallestPiece = 1 << 20 // what nginx takes unless it is told otherwise
)

// mostBreaks is how often a connection may break at the same place of a blob before
// smaller pieces are tried.
const mostBreaks = 2

// mostFailedPuts is how often a blob is sent in one PUT to a registry that answers as if that
// failed in passing; then it goes by PATCH. Nothing is learned of the host.
const mostFailedPuts = 4

// mostUnclosed is how often a registry may answer the request that ends an upload with 404, and
// not say that it lost the upload.
const mostUnclosed = 4

// ways is what one host has shown of how it takes blobs: in one PUT, which saves a round
// trip and which every registry takes that goes by the book, or by PATCH.
type ways struct {
	noPut, noPatch atomic.Bool

	mu    sync.Mutex
	piece int64
}

// pieceFor returns the size of the pieces in which a blob has to go, 0 if it goes whole.
func (w *ways) pieceFor(size int64) int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.piece < size {
		return w.piece
	}
	return 0
}

// remember notes what t found out, once its blob is in the registry.
func (w *ways) remember(t *transfer, byPut bool) {
	if byPut && t.refusedPatch {
		w.noPatch.Store(true)
	}
	if !byPut && t.refusedPut {
		w.noPut.Store(true)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if !byPut && t.piece > 0 && (w.piece == 0 || t.piece < w.piece) {
		w.piece = t.piece
	}
}

// puts reports whether the blob goes in one PUT.
func (t *transfer) puts() bool {
	switch {
	case t.wholeOnly():
		return true
	case t.piece > 0, t.refusedPut, t.failedPuts >= mostFailedPuts && !t.refusedPatch:
		return false
	}
	return t.refusedPatch || !t.r.c.ways.noPut.Load()
}

// wholeOnly reports whether the host takes no chunks: one POST, one PUT, and after a
// break the same again. Artifact Registry and GCR are known for it (Google Cloud's
// documentation of Docker's API in Artifact Registry), others have shown it.
func (t *transfer) wholeOnly() bool {
	host := t.r.c.o.Host
	return strings.HasSuffix(host, ".pkg.dev") || host == "gcr.io" || strings.HasSuffix(host, ".gcr.io") ||
		t.r.c.ways.noPatch.Load()
}

// put sends the whole blob and finishes with one request.
func (t *transfer) put(ctx context.Context) (How, error) {
	body := t.body(t.d.Size)
	fresh := t.session.use()
	t.byPut = true
	resp, err := t.r.once(ctx, call{
		doing: t.doing, method: http.MethodPut, url: t.final(), away: t.session.away,
		header: http.Header{"Content-Type": {"application/octet-stream"}},
		body:   body, placed: true, need: auth.Access{Write: true}, bulk: t.d.Size >= transport.LargeBody, commit: true,
		want: []int{http.StatusCreated, http.StatusNoContent, http.StatusOK},
	})
	body.stop()
	if err == nil {
		transport.Drain(resp)
		return t.arrived(true)
	}
	var answer *Error
	if !errors.As(err, &answer) || t.wholeOnly() {
		return t.resume(ctx, err)
	}
	refuses := t.refusesPut(answer)
	if !refuses && !t.stranger(answer, fresh) {
		return t.resume(ctx, err)
	}
	t.restart(true) // a session that has refused once is not trusted
	switch {
	case answer.Status == http.StatusRequestEntityTooLarge:
		return "", t.smaller(t.d.Size, err)
	case t.refusedPatch:
		return "", err
	case refuses:
		t.r.c.ways.noPut.Store(true) // at once: other blobs need not find out
	}
	t.refusedPut = true
	return "", nil
}

// refusesPut reports whether a registry or a proxy before it takes no blob in one
// PUT, as opposed to not taking this one. Artifactory 6 answers 404 BLOB_UNKNOWN.
func (t *transfer) refusesPut(e *Error) bool {
	switch e.Status {
	case http.StatusRequestEntityTooLarge:
		return t.d.Size > smallestPiece
	case http.StatusBadRequest:
		return aboutTheWay(e) && (e.Code != codeSizeInvalid || t.d.Size > 0)
	}
	return refusesWay(e)
}

// refusesWay reports whether an answer refuses how a blob is sent, and says nothing about
// the blob, the repository or the upload.
func refusesWay(e *Error) bool {
	switch e.Status {
	case http.StatusMethodNotAllowed, http.StatusLengthRequired, http.StatusUnsupportedMediaType,
		http.StatusNotImplemented:
		return true
	case http.StatusBadRequest, http.StatusNotFound, http.StatusNotAcceptable, http.StatusUnprocessableEntity:
		return aboutTheWay(e) && (e.Status != http.StatusNotFound || e.Code != "")
	}
	return false
}

// aboutTheWay reports whether a refusal's code names neither blob, repository nor upload.
func aboutTheWay(e *Error) bool {
	switch e.Code {
	case codeDigestInvalid, codeUploadInvalid, codeUploadUnknown, codeRangeInvalid, codeNameUnknown, codeNameInvalid:
		return false
	}
	return !missing(e)
}

// stranger reports whether the registry did not know an upload that it had just opened
// for the second time: then it is the way of sending that it does not know.
func (t *transfer) stranger(e *Error, fresh bool) bool {
	if !fresh || e.Status != http.StatusNotFound || missing(e) {
		return false
	}
	t.strangers++
	return t.strangers > 1
}

// restart forgets the session, with cancel if the registry still has it.
func (t *transfer) restart(cancel bool) {
	t.back(0)
	if cancel {
		t.r.cancel(t.session)
	}
	t.session, t.asked = nil, 0
}

// arrived says that the registry has the blob.
func (t *transfer) arrived(byPut bool) (How, error) {
	t.r.c.ways.remember(t, byPut)
	t.session = nil
	return Uploaded, nil
}

// smaller makes pieces of half the size that was refused, or of the smallest there is.
func (t *transfer) smaller(refused int64, err error) error {
	if refused <= smallestPiece {
		return err
	}
	t.piece = min(largestPiece, max(smallestPiece, refused/2))
	return nil
}

// smallerAfterBreaks makes smaller pieces after the connection broke again and again.
func (t *transfer) smallerAfterBreaks() {
	largest := t.d.Size
	if t.piece > 0 {
		largest = min(largest, t.piece)
	}
	switch {
	case t.wholeOnly():
	case largest > middlePiece:
		t.piece = middlePiece
	case largest > smallestPiece:
		t.piece = smallestPiece
	}
}

// errTookLess says that a registry took less than it was sent.
var errTookLess = errors.New("the registry took only a part of what it was sent")

// patch sends what the registry lacks, or a piece of it.
func (t *transfer) patch(ctx context.Context) (How, error) {
	size := t.d.Size - t.session.offset
	if t.piece > 0 {
		size = min(size, t.piece)
	}
	body := t.body(size)
	last := t.session.offset + size - 1
	fresh := t.session.use()
	t.byPut = false
	resp, err := t.r.once(ctx, call{
		doing: t.doing, method: http.MethodPatch, url: t.session.url, away: t.session.away,
		header: http.Header{
			"Content-Type":  {"application/octet-stream"},
			"Content-Range": {fmt.Sprintf("%d-%d", t.session.offset, last)},
		},
		body: body, placed: true, need: auth.Access{Write: true}, bulk: size >= transport.LargeBody, commit: true,
		want: []int{http.StatusAccepted, http.StatusNoContent, http.StatusCreated, http.StatusOK},
	})
	body.stop()
	if err == nil {
		return "", t.patched(resp, last)
	}
	var answer *Error
	if !errors.As(err, &answer) {
		return t.resume(ctx, err)
	}
	refuses, other := refusesWay(answer), !t.refusedPut && t.piece == 0
	switch {
	case answer.Status == http.StatusRequestEntityTooLarge:
		t.back(t.session.offset)
		return "", t.smaller(size, err)
	case other && (refuses || t.stranger(answer, fresh)):
		t.restart(true)
		t.refusedPatch = true
		return "", nil
	case refuses:
		t.r.c.ways.noPut.Store(false) // whatever is wrong, it is not the way
		return "", err
	}
	return t.resume(ctx, err)
}

// patched notes what a PATCH that ended at last brought.
func (t *transfer) patched(resp *http.Response, last int64) error {
	defer transport.Drain(resp)
	if err := t.r.move(t.session, resp); err != nil {
		return err
	}
	taken := received(resp.Header.Get("Range"))
	less := taken > t.session.offset && taken <= last
	if !less {
		taken = last + 1
	}
	t.session.offset = taken
	t.back(taken)
	t.asked, t.breaks = 0, 0
	t.farther(taken)
	if less {
		return &transport.RetryError{Err: errTookLess}
	}
	return nil
}

// finish closes an upload whose bytes are all there.
func (t *transfer) finish(ctx context.Context) (How, error) {
	resp, err := t.r.once(ctx, call{
		doing: t.doing, method: http.MethodPut, url: t.final(), away: t.session.away,
		header: http.Header{"Content-Type": {"application/octet-stream"}},
		body:   &outgoing{content: manifestBytes(nil)}, need: auth.Access{Write: true}, commit: true, placed: true,
		want: []int{http.StatusCreated, http.StatusNoContent, http.StatusOK},
	})
	if err != nil {
		how, again := t.resume(ctx, err)
		if how == "" && t.neverCloses(err) {
			again = err
		}
		return how, again
	}
	transport.Drain(resp)
	return t.arrived(false)
}

// neverCloses takes note of a refusal of the last request of an upload, and reports whether there
// were enough of those that do not say that the upload is lost: a proxy may know no PUT.
func (t *transfer) neverCloses(err error) bool {
	answer, ok := errors.AsType[*Error](err)
	if !ok || answer.Status != http.StatusNotFound || answer.Has(codeUploadUnknown) {
		return false
	}
	t.unclosed++
	return t.unclosed >= mostUnclosed
}

// final is the session's URL with the digest, as PUT wants it.
func (t *transfer) final() *url.URL {
	final := *t.session.url
	query := "digest=" + url.QueryEscape(t.d.Digest.String())
	if final.RawQuery != "" { // as the registry wrote it: it may be signed
		query = final.RawQuery + "&" + query
	}
	final.RawQuery = query
	return &final
}
