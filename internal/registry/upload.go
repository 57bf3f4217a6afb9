package registry

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multi-registry-push/multi-registry-push/internal/registry/auth"
	"github.com/multi-registry-push/multi-registry-push/internal/registry/transport"
)

// How says how a blob came to be in a repository.
type How string

// The values of How.
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
)

// Upload copies a blob into the repository: mounted from one of the repositories in
// from, of this same host, if the registry does that; else sent, in one request. Unless the
// registry opened an upload in place of a mount, one that StartUpload or OpenUploads opened
// carries the blob: one request less. A break means asking the registry how far it got and
// going on from there; where it has lost the upload, or never takes one up again, the blob
// starts anew. Upload waits for its place among the blobs in flight. p may be nil.
//
// The content is opened while the registry is asked for the upload. What fails in it,
// while it is being read, is returned as it is.
func (r *Repository) Upload(
	ctx context.Context, d v1.Descriptor, from []string, content Content, p Progress,
) (How, error) {
	doing := "uploading blob " + short(d.Digest.String())
	t := &transfer{r: r, d: d, doing: doing, content: content, progress: p, op: r.c.host.NewOperation()}
	defer t.end()
	release, err := r.c.host.AcquireBody(ctx, d.Size)
	if err != nil {
		return "", err
	}
	defer release()
	if err := r.c.host.Probe(ctx); err != nil {
		return "", r.explain(ctx, doing, true, err)
	}
	how, err := t.run(ctx, from)
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
	progress Progress
	op       *transport.Operation

	ahead  *openedAhead // of the content, nil if it is not being opened
	opened bool         // the content was opened ahead: once is enough

	session *session
	told    int64 // what progress was told, in sum
	handed  int64 // how far this session's requests got, at most
	best    int64 // the farthest the registry ever got
	renewed int64 // the farthest that counted as progress

	byPut        bool  // the last request that carried bytes was a PUT
	refusedPut   bool  // this blob, in one PUT
	refusedPatch bool  // this blob, by PATCH
	failedPuts   int   // PUTs with bytes that were answered 5xx or 416
	piece        int64 // largest size of a PATCH, 0 for no bound
	breaks       int   // in a row, with nothing gained
	asked        int   // times in a row that asking brought nothing new
	unclosed     int   // uploads that 404 was answered to the end of, for no reason
	strangers    int   // sessions, just opened, that the registry did not know
	wrong        int   // times that the registry found another digest
}

// end gives up what is left over.
func (t *transfer) end() {
	t.closeAhead()
	t.r.cancel(t.session)
	t.session = nil
}

func (t *transfer) run(ctx context.Context, from []string) (How, error) {
	t.piece = t.r.c.ways.pieceFor(t.d.Size)
	if how, err := t.mount(ctx, from); how != "" || err != nil {
		return how, err
	}
	if t.session == nil {
		t.session = t.r.uploads.take()
	}
	for {
		started, err := t.r.c.host.Wait(ctx)
		if err != nil {
			return "", err
		}
		how, err := t.attempt(ctx)
		if err == nil && how != "" {
			t.r.c.host.Succeeded()
			return how, nil
		}
		if err == nil {
			continue
		}
		if err := t.op.Retry(ctx, t.r.path+": "+t.doing, started, err); err != nil {
			return "", err
		}
	}
}

// mount tries to have the blob from another repository of this host. Whatever goes
// wrong with that, the blob can still be sent; an upload that the registry opened
// instead is used.
func (t *transfer) mount(ctx context.Context, from []string) (How, error) {
	for i, source := range from {
		if i == mostMounts {
			break
		}
		query := url.Values{"mount": {t.d.Digest.String()}, "from": {source}}
		s, err := t.tryMount(ctx, query, source)
		switch {
		case errors.Is(err, errCreated):
			t.r.cancel(t.session)
			t.session = nil
			return Mounted, nil
		case err == nil:
			t.r.cancel(t.session)
			t.session = s
		case ctx.Err() != nil:
			return "", context.Cause(ctx)
		}
	}
	return "", nil
}

// tryMount asks for one mount. A failure that does not pass soon is no reason to wait:
// some registries answer 500 to a mount that they cannot do.
func (t *transfer) tryMount(ctx context.Context, query url.Values, source string) (*session, error) {
	o := t.r.c.host.NewOperation()
	for {
		started, err := t.r.c.host.Wait(ctx)
		if err != nil {
			return nil, err
		}
		s, err := t.r.post(ctx, t.post(source), query)
		if err == nil || errors.Is(err, errCreated) {
			t.r.c.host.Succeeded()
			return s, err
		}
		if o.Tries() == mostMountTries && !isStatus(err, http.StatusTooManyRequests) {
			return nil, err
		}
		if err := o.Retry(ctx, t.r.path+": "+t.doing, started, err); err != nil {
			return nil, err
		}
	}
}

// post is the call that opens an upload, to mount from a repository unless that is "".
func (t *transfer) post(from string) call {
	return call{doing: t.doing, need: auth.Access{Write: true, From: from}, placed: true}
}

// attempt goes one step: it opens an upload if there is none, sends what is missing,
// and finishes. No error and no result: there is more to do, at once.
func (t *transfer) attempt(ctx context.Context) (How, error) {
	if !t.opened && t.d.Size > 0 {
		t.opened, t.ahead = true, openAhead(ctx, t.content)
	}
	if t.session == nil {
		s, err := t.r.post(ctx, t.post(""), nil)
		if err != nil {
			t.closeAhead() // a content that nobody reads may hold others up
			return "", err
		}
		t.session, t.handed = s, 0
	}
	switch {
	case t.session.offset == 0 && t.puts():
		return t.put(ctx)
	case t.session.offset < t.d.Size:
		return t.patch(ctx)
	}
	return t.finish(ctx)
}

// Open implements Content: what was opened ahead is used first.
func (t *transfer) Open(ctx context.Context, offset int64) (io.ReadCloser, error) {
	if a := t.ahead; a != nil && offset == 0 {
		t.ahead = nil
		return a.within(ctx), nil
	}
	t.closeAhead()
	return t.content.Open(ctx, offset)
}

func (t *transfer) closeAhead() {
	if t.ahead != nil {
		_ = t.ahead.Close()
		t.ahead = nil
	}
}

// body returns the next size bytes that the registry lacks.
func (t *transfer) body(size int64) *outgoing {
	return &outgoing{content: t, offset: t.session.offset, size: size, progress: t}
}

// Sent implements Progress.
func (t *transfer) Sent(n int64) {
	t.told += n
	t.handed = max(t.handed, t.told)
	if t.progress != nil && n != 0 {
		t.progress.Sent(n)
	}
}

// back makes the sum that progress was told what the registry has.
func (t *transfer) back(to int64) { t.Sent(to - t.told) }

// Progress renews an upload's patience only once a share of the blob has got through: an
// eighth of it, or this many bytes. A registry that breaks off a few bytes farther each
// time does not keep us for ever.
const progressBytes = 4 << 20

// farther notes how far the upload got.
func (t *transfer) farther(to int64) {
	t.best = max(t.best, to)
	if t.best-t.renewed >= max(1, min(t.d.Size/8, progressBytes)) {
		t.renewed = t.best
		t.op.Progress()
	}
}
