package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multi-registry-push/multi-registry-push/internal/registry/auth"
	"github.com/multi-registry-push/multi-registry-push/internal/registry/transport"
	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

// How a blob came to be in a repository.
type How string

// The ways.
const (
	Uploaded How = "uploaded"
	Mounted  How = "mounted"
	Existing How = "existing"
)

const (
	// mostMounts is how many repositories are tried to mount from.
	mostMounts = 4
	// mostMountTries is how often a mount that fails in passing is tried again.
	mostMountTries = 2
	// mostTwice is how often a blob is sent again from its start after the registry
	// said that it is not what its digest says.
	mostTwice = 1
	// Chunks, where a proxy takes no body of that size (413): half of what it
	// refused, but at most the one and at least the other.
	largestChunk  = 64 << 20
	smallestChunk = 1 << 20
)

// Upload copies a blob into the repository: mounted from one of the repositories in
// from, of this same host, if the registry does that; else sent, in one request. Where
// opened is not nil, that upload carries the blob, and from is not tried: one request
// less. A break means asking the registry how far it got and going on from there; where it
// has lost the upload, or never takes one up again, the blob starts anew. Upload
// waits for its place among the blobs in flight. p may be nil.
//
// The content is opened while the registry is asked for the upload. What fails in it,
// while it is being read, is returned as it is.
func (r *Repository) Upload(
	ctx context.Context, d v1.Descriptor, from []string, content Content, p Progress, opened *Upload,
) (How, error) {
	doing := "uploading blob " + short(d.Digest.String())
	u := &transfer{
		r: r, d: d, doing: doing, content: content, progress: p, session: opened.take(), budget: r.c.host.NewOperation(),
	}
	defer u.end()
	if err := r.c.host.AcquireUpload(ctx); err != nil {
		return "", err
	}
	defer r.c.host.ReleaseUpload()
	if err := r.c.host.Probe(ctx); err != nil {
		return "", r.explain(ctx, doing, true, err)
	}
	how, err := u.run(ctx, from)
	if err != nil {
		return "", r.explain(ctx, doing, true, err)
	}
	return how, nil
}

// transfer is one blob on its way into one repository.
type transfer struct {
	r        *Repository
	d        v1.Descriptor
	doing    string
	content  Content
	ahead    *ahead // of the content, nil if it is not being opened
	opened   bool   // the content has been opened ahead: once is enough
	progress Progress
	budget   *transport.Operation

	session *session
	told    int64 // what progress was told, in sum
	handed  int64 // how far this session's requests got, at most
	best    int64 // the farthest the registry ever got
	chunk   int64 // largest piece of a PATCH, 0 for no bound
	asked   int   // times in a row that asking brought nothing new
	wrong   int   // times that the registry found another digest
}

// end gives up what is left over.
func (u *transfer) end() {
	u.closeAhead()
	u.r.cancel(u.session)
	u.session = nil
}

func (u *transfer) run(ctx context.Context, from []string) (How, error) {
	if u.session == nil {
		if how, err := u.mount(ctx, from); how != "" || err != nil {
			return how, err
		}
	}
	for {
		started, err := u.r.c.host.Wait(ctx)
		if err != nil {
			return "", err
		}
		how, err := u.attempt(ctx)
		if err == nil && how != "" {
			u.r.c.host.Succeeded()
			return how, nil
		}
		if err == nil {
			continue
		}
		if err := u.budget.Retry(ctx, u.r.path+": "+u.doing, started, err); err != nil {
			return "", err
		}
	}
}

// mount tries to have the blob from another repository of this host. Whatever goes
// wrong with that, the blob can still be sent; an upload that the registry opened
// instead is used.
func (u *transfer) mount(ctx context.Context, from []string) (How, error) {
	for i, source := range from {
		if i == mostMounts {
			break
		}
		query := url.Values{"mount": {u.d.Digest.String()}, "from": {source}}
		s, err := u.tryMount(ctx, query, source)
		switch {
		case errors.Is(err, errCreated):
			u.r.cancel(u.session)
			u.session = nil
			return Mounted, nil
		case err == nil:
			if u.session != nil {
				u.r.cancel(u.session)
			}
			u.session = s
		case ctx.Err() != nil:
			return "", context.Cause(ctx)
		}
	}
	return "", nil
}

// tryMount asks for one mount. A failure that does not pass soon is no reason to wait:
// some registries answer 500 to a mount that they cannot do.
func (u *transfer) tryMount(ctx context.Context, query url.Values, source string) (*session, error) {
	b := u.r.c.host.NewOperation()
	for {
		started, err := u.r.c.host.Wait(ctx)
		if err != nil {
			return nil, err
		}
		s, err := u.r.post(ctx, u.doing, query, source)
		if err == nil || errors.Is(err, errCreated) {
			u.r.c.host.Succeeded()
			return s, err
		}
		var answer *Error
		limited := errors.As(err, &answer) && answer.Status == http.StatusTooManyRequests
		if b.Tries() == mostMountTries && !limited {
			return nil, err
		}
		if err := b.Retry(ctx, u.r.path+": "+u.doing, started, err); err != nil {
			return nil, err
		}
	}
}

// attempt goes one step: it opens an upload if there is none, sends what is missing,
// and finishes. No error and no result: there is more to do, at once.
func (u *transfer) attempt(ctx context.Context) (How, error) {
	if !u.opened && u.d.Size > 0 {
		u.opened, u.ahead = true, openAhead(ctx, u.content)
	}
	if u.session == nil {
		s, err := u.r.post(ctx, u.doing, nil, "")
		if errors.Is(err, errCreated) {
			return Existing, nil
		}
		if err != nil {
			// A content that nobody reads may hold others up.
			u.closeAhead()
			return "", err
		}
		u.session, u.handed = s, 0
	}
	if u.session.offset == 0 && u.putsBody() {
		return u.put(ctx)
	}
	if u.session.offset < u.d.Size {
		return u.patch(ctx)
	}
	return u.finish(ctx)
}

// putsBody reports whether the blob goes in one PUT: a round trip less than PATCH and
// PUT, and what every registry takes unless it showed otherwise.
func (u *transfer) putsBody() bool {
	u.r.mu.Lock()
	defer u.r.mu.Unlock()
	return !u.r.cannotPutBody && u.chunk == 0
}

// Open implements Content.
func (u *transfer) Open(ctx context.Context, offset int64) (io.ReadCloser, error) {
	if a := u.ahead; a != nil && offset == 0 {
		u.ahead = nil
		return a.within(ctx), nil
	}
	u.closeAhead()
	return u.content.Open(ctx, offset)
}

func (u *transfer) closeAhead() {
	if u.ahead != nil {
		_ = u.ahead.Close()
		u.ahead = nil
	}
}

func (u *transfer) body(size int64) *outgoing {
	return &outgoing{content: u, offset: u.session.offset, size: size, progress: u}
}

// Sent implements Progress.
func (u *transfer) Sent(n int64) {
	u.told += n
	u.handed = max(u.handed, u.told)
	if u.progress != nil && n != 0 {
		u.progress.Sent(n)
	}
}

// put sends the whole blob and finishes with one request.
func (u *transfer) put(ctx context.Context) (How, error) {
	body := u.body(u.d.Size)
	resp, err := u.r.once(ctx, call{
		doing: u.doing, method: http.MethodPut, url: u.final(), away: u.session.away,
		header: http.Header{"Content-Type": {"application/octet-stream"}},
		body:   body, need: auth.Access{Write: true}, bulk: u.d.Size >= largest, commit: true,
		want: []int{http.StatusCreated, http.StatusNoContent, http.StatusOK},
	})
	if err == nil {
		transport.Drain(resp)
		body.stop()
		u.session = nil
		return Uploaded, nil
	}
	body.stop()
	var answer *Error
	if errors.As(err, &answer) && u.refusesBody(answer) {
		// Nothing was taken. A session that has refused once is not trusted.
		u.back(0)
		u.r.cancel(u.session)
		u.session = nil
		if answer.Status == http.StatusRequestEntityTooLarge {
			return "", u.smaller(u.d.Size, err)
		}
		u.r.mu.Lock()
		u.r.cannotPutBody = true
		u.r.mu.Unlock()
		return "", nil
	}
	return u.recover(ctx, err)
}

// refusesBody reports whether a registry or a proxy before it takes no blob in one
// PUT, as opposed to not taking this one.
func (u *transfer) refusesBody(e *Error) bool {
	if u.wholeOnly() {
		return false
	}
	switch e.Status {
	case http.StatusRequestEntityTooLarge:
		return u.d.Size > smallestChunk
	case http.StatusMethodNotAllowed, http.StatusLengthRequired, http.StatusUnsupportedMediaType, http.StatusNotImplemented:
		return true
	case http.StatusBadRequest:
		return e.Code == codeUnsupported || e.Code == "" || e.Code == codeSizeInvalid && u.d.Size > 0
	}
	return false
}

// smaller halves the pieces after one of this size was too large.
func (u *transfer) smaller(refused int64, err error) error {
	u.chunk = min(largestChunk, refused/2)
	if u.chunk < smallestChunk {
		return err
	}
	return nil
}

// patch sends what the registry lacks, or a piece of it.
func (u *transfer) patch(ctx context.Context) (How, error) {
	size := u.d.Size - u.session.offset
	if u.chunk > 0 {
		size = min(size, u.chunk)
	}
	body := u.body(size)
	last := u.session.offset + size - 1
	resp, err := u.r.once(ctx, call{
		doing: u.doing, method: http.MethodPatch, url: u.session.url, away: u.session.away,
		header: http.Header{
			"Content-Type":  {"application/octet-stream"},
			"Content-Range": {fmt.Sprintf("%d-%d", u.session.offset, last)},
		},
		body: body, need: auth.Access{Write: true}, bulk: size >= largest, commit: true,
		want: []int{http.StatusAccepted, http.StatusNoContent, http.StatusCreated, http.StatusOK},
	})
	body.stop()
	var answer *Error
	switch {
	case err == nil:
		defer transport.Drain(resp)
		if err := u.r.move(u.session, resp); err != nil {
			return "", err
		}
		// A registry that took less than it was sent says so.
		if taken := received(resp.Header.Get("Range")); taken > u.session.offset && taken <= last {
			u.session.offset = taken
		} else {
			u.session.offset = last + 1
		}
		u.took()
		return "", nil
	case errors.As(err, &answer) && answer.Status == http.StatusRequestEntityTooLarge:
		u.back(u.session.offset)
		return "", u.smaller(size, err)
	}
	return u.recover(ctx, err)
}

// finish closes an upload whose bytes are all there.
func (u *transfer) finish(ctx context.Context) (How, error) {
	resp, err := u.r.once(ctx, call{
		doing: u.doing, method: http.MethodPut, url: u.final(), away: u.session.away,
		header: http.Header{"Content-Type": {"application/octet-stream"}},
		body:   &outgoing{content: manifestBytes(nil)}, need: auth.Access{Write: true}, commit: true,
		want: []int{http.StatusCreated, http.StatusNoContent, http.StatusOK},
	})
	if err != nil {
		return u.recover(ctx, err)
	}
	transport.Drain(resp)
	u.session = nil
	return Uploaded, nil
}

// final is the session's URL with the digest, as PUT wants it.
func (u *transfer) final() *url.URL {
	final := *u.session.url
	query := "digest=" + url.QueryEscape(u.d.Digest.String())
	if final.RawQuery != "" { // as the registry wrote it: it may be signed
		query = final.RawQuery + "&" + query
	}
	final.RawQuery = query
	return &final
}

// took notes that the registry has everything up to the session's offset.
func (u *transfer) took() {
	u.back(u.session.offset)
	u.asked = 0
	u.farther(u.session.offset)
}

// back makes progress' sum what the registry has.
func (u *transfer) back(to int64) { u.Sent(to - u.told) }

// recover decides how to go on after err. It returns Uploaded if the blob arrived
// after all; else an error, which is for the budget to judge if it is passing.
func (u *transfer) recover(ctx context.Context, err error) (How, error) {
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	var content *contentError
	if errors.As(err, &content) {
		return "", err
	}
	gone, lost, err := u.judge(err)
	if !gone && !lost && !transport.Transient(err) {
		return "", err
	}
	if !gone && !lost {
		lost = u.wholeOnly()
	}
	if !gone && !lost {
		before := u.session.offset
		known, err := u.askAgain(ctx)
		if err != nil {
			return "", err
		}
		gone = !known
		if known && u.session.offset > before {
			u.asked = 0
		}
	}
	// A registry that has more than it was ever sent has something else; and one that
	// has nothing may have one byte (see received): a fresh start costs no more.
	if !gone && !lost && (u.session.offset == 0 || u.session.offset > min(u.handed, u.d.Size)) {
		lost = true
	}
	if !gone && !lost {
		u.back(u.session.offset)
		u.farther(u.session.offset)
		return "", err
	}

	// Before everything is sent again: it may be only the answer that was lost.
	if gone && u.told >= u.d.Size {
		if size, statErr := u.r.statBlob(ctx, u.doing, u.d.Digest.String()); statErr == nil && (size == u.d.Size || size == -1) {
			u.back(u.d.Size)
			u.session = nil
			return Uploaded, nil
		}
	}
	// Without anything kept, to have got further than ever before is progress too.
	u.farther(u.told)
	u.back(0)
	if !gone {
		u.r.cancel(u.session)
	}
	u.session, u.asked = nil, 0
	return "", err
}

// judge sorts an answer to an upload's request: gone, the registry knows nothing of
// the upload; lost, what it has is of no use. The error that it returns is passing if
// the upload can go on or start anew.
func (u *transfer) judge(err error) (gone, lost bool, _ error) {
	var answer *Error
	if !errors.As(err, &answer) || transport.TransientStatus(answer.Status) {
		return false, false, err
	}
	switch {
	case answer.Status == http.StatusNotFound && !missing(answer), answer.Code == codeUploadUnknown:
		return true, false, &transport.RetryError{Err: err}
	case answer.Code == codeDigestInvalid, answer.Code == codeUploadInvalid && u.told >= u.d.Size:
		// What arrived is not what was sent, or an upload that was resumed has a seam.
		if u.wrong++; u.wrong > mostTwice {
			return false, false, usererror.New(usererror.DigestMismatch, u.r.c.o.Host, u.r.String()+": "+u.doing, "", err)
		}
		return false, true, &transport.RetryError{Err: err}
	case answer.Status == http.StatusRequestedRangeNotSatisfiable, answer.Code == codeRangeInvalid,
		answer.Code == codeUploadInvalid, answer.Code == codeSizeInvalid:
		// It has another idea of how far it got: it may still have been reading from
		// the connection that broke. Asking tells; but not for ever.
		u.asked++
		return false, u.asked > 3, &transport.RetryError{Err: err}
	}
	return false, false, err
}

// farther notes how far the upload got, and that this is progress if it is.
func (u *transfer) farther(to int64) {
	if to > u.best {
		u.best = to
		u.budget.Progress()
	}
}

// askAgain asks how far the upload got, patiently: the registry that broke off may
// take a moment.
func (u *transfer) askAgain(ctx context.Context) (known bool, err error) {
	b := u.r.c.host.NewOperation()
	for {
		started, err := u.r.c.host.Wait(ctx)
		if err != nil {
			return false, err
		}
		known, err := u.r.ask(ctx, u.doing, u.session)
		if err == nil {
			return known, nil
		}
		if err := b.Retry(ctx, u.r.path+": "+u.doing, started, err); err != nil {
			return false, err
		}
	}
}

// wholeOnly names the hosts that take no chunks: one POST, one PUT, and after a
// break the same again.
func (u *transfer) wholeOnly() bool {
	host := u.r.c.o.Host
	return strings.HasSuffix(host, ".pkg.dev") || host == "gcr.io" || strings.HasSuffix(host, ".gcr.io")
}
