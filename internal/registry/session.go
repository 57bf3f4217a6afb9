package registry

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/multi-registry-push/multi-registry-push/internal/registry/auth"
	"github.com/multi-registry-push/multi-registry-push/internal/registry/transport"
	"github.com/multi-registry-push/multi-registry-push/internal/retry"
)

// StartUpload opens an upload, which proves the permission to push, and which the next blob
// takes (see Upload). A refusal is NoPushPermission, a registry that takes none Refused or
// ReadOnly, a repository that has to be created first RepositoryMissing.
func (r *Repository) StartUpload(ctx context.Context) error {
	const doing = "checking the permission to push"
	proved := r.permission.begin()
	s, err := r.begin(ctx, doing)
	proved(err == nil)
	if err == nil {
		r.cancel(r.uploads.add(s))
		return nil
	}
	answer, ok := errors.AsType[*Error](err)
	if ok && !answer.TokenService && !missing(answer) && !noMatterOfRights(answer) {
		switch answer.Status {
		case http.StatusOK: // and to everything else, too
			return r.failed(NotARegistry, doing, &transport.NotRegistryError{What: err.Error()})
		case http.StatusMethodNotAllowed: // no account may
			return r.failed(ReadOnly, doing, err)
		case http.StatusNotFound: // a registry that hides what we may not see
			return r.failed(NoPushPermission, doing, err)
		}
	}
	return r.explain(ctx, doing, true, err)
}

// session is an upload that the registry has opened.
type session struct {
	url    *url.URL // moves with each answer
	away   bool     // another host named url
	offset int64    // what the registry is known to have
	used   bool
}

// use reports whether this is the first use of the upload.
func (s *session) use() (first bool) {
	first, s.used = !s.used, true
	return first
}

// errCreated says that the registry had the blob already.
var errCreated = errors.New("the registry has it already")

// begin opens an upload, with retries.
func (r *Repository) begin(ctx context.Context, doing string) (*session, error) {
	var s *session
	err := r.retrying(ctx, doing, func(ctx context.Context) (err error) {
		s, err = r.post(ctx, call{doing: doing, need: auth.Access{Write: true}}, nil)
		return err
	})
	return s, err
}

// answerTime is how long an answer to the opening of an upload is waited for that nobody wants any
// more: only that says where the upload is to be given up.
const answerTime = 1500 * time.Millisecond

var errNoAnswer = errors.New("the registry did not say in time where it opened an upload that nobody wants any more")

// post opens an upload by k, once, and gives it up if ctx has ended meanwhile. With a mount query
// it may be over at once: errCreated. Whoever answers 201 without one, or with the address of an
// upload, has opened an upload.
func (r *Repository) post(ctx context.Context, k call, query url.Values) (*session, error) {
	if !k.placed {
		release, err := r.c.host.AcquireRequest(ctx)
		if err != nil {
			return nil, err
		}
		defer release()
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	begun, cancel := retry.Outlive(ctx, answerTime, errNoAnswer)
	defer cancel()
	s, err := r.open(begun, k, query)
	if ctx.Err() != nil && !errors.Is(err, errCreated) {
		r.cancel(s)
		return nil, context.Cause(ctx)
	}
	return s, err
}

// open is post for whoever holds a place among the requests.
func (r *Repository) open(ctx context.Context, k call, query url.Values) (*session, error) {
	k.method, k.url, k.placed = http.MethodPost, r.at("/blobs/uploads/", query), true
	k.want = []int{http.StatusAccepted, http.StatusCreated}
	resp, err := r.once(ctx, k)
	if err != nil {
		return nil, err
	}
	defer transport.Drain(resp)
	opened := strings.Contains(resp.Header.Get("Location"), "/blobs/uploads/")
	if resp.StatusCode == http.StatusCreated && query.Has("mount") && !opened {
		return nil, errCreated
	}
	s := &session{url: k.url}
	if err := r.move(s, resp); err != nil {
		return nil, err
	}
	return s, nil
}

// move takes the Location of an answer, if it has one.
func (r *Repository) move(s *session, resp *http.Response) error {
	location := resp.Header.Get("Location")
	if location == "" {
		if strings.HasSuffix(s.url.Path, "/blobs/uploads/") {
			return errors.New("the registry opened an upload without saying where")
		}
		return nil
	}
	from := s.url
	if resp.Request != nil {
		from = resp.Request.URL
	}
	u, err := r.c.host.Target(from, location)
	if err != nil {
		return err
	}
	s.url, s.away = u, s.away || transport.FromElsewhere(resp)
	return nil
}

// ask returns how far the upload got. known is false if the registry has lost it.
func (r *Repository) ask(ctx context.Context, doing string, s *session) (known bool, err error) {
	resp, err := r.once(ctx, call{
		doing: doing, method: http.MethodGet, url: s.url, away: s.away, need: auth.Access{Write: true}, placed: true,
	})
	if answer, ok := errors.AsType[*Error](err); ok && !transport.TransientStatus(answer.Status) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer transport.Drain(resp)
	if err := r.move(s, resp); err != nil {
		return false, err
	}
	s.offset = received(resp.Header.Get("Range"))
	return true, nil
}

// received reads how many bytes a Range header says that the registry has: "0-41" is
// 42. "0-0" may be one byte or none (Distribution): none, since sending a byte that
// is there is found out, and a gap would not be. olareg says "0--1" for none.
func received(value string) int64 {
	value = strings.TrimSpace(value)
	if rest, ok := strings.CutPrefix(value, "bytes"); ok {
		value = strings.TrimLeft(rest, "= ")
	}
	last, ok := strings.CutPrefix(value, "0-")
	if !ok {
		return 0
	}
	n, err := strconv.ParseInt(last, 10, 64)
	if err != nil || n <= 0 || n == 1<<63-1 {
		return 0
	}
	return n + 1
}
