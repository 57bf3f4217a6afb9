package registry

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/multi-registry-push/multi-registry-push/internal/retry"
	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

func TestUpload(t *testing.T) {
	for name, size := range map[string]int{"empty": 0, "small": 1000, "large": 3 << 20} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			c, clock := f.client(nil)
			data, d := blobOf(size)
			var p sum
			how, err := c.Repository("me/app").Upload(t.Context(), d, nil, &bytesContent{data: data}, &p)
			if err != nil || how != Uploaded {
				t.Fatalf("Upload: %v, %v", how, err)
			}
			if !bytes.Equal(f.blobs["me/app@"+d.Digest.String()], data) {
				t.Error("the registry has something else")
			}
			if p.n.Load() != d.Size {
				t.Errorf("progress adds up to %d of %d", p.n.Load(), d.Size)
			}
			if got := c.Stats(); got.BytesSent != d.Size || got.Retries != 0 || got.Requests != 4 { // TLS tried, /v2/, POST, PUT
				t.Errorf("Stats() = %+v", got)
			}
			if clock.Slept() != 0 {
				t.Errorf("slept %v", clock.Slept())
			}
		})
	}
}

func TestUploadMounts(t *testing.T) {
	f := newFake(t)
	c, _ := f.client(nil)
	data, d := blobOf(5000)
	f.blobs["other/two@"+d.Digest.String()] = data
	how, err := c.Repository("me/app").Upload(t.Context(), d, []string{"other/one", "other/two"}, &bytesContent{data: data}, nil)
	if err != nil || how != Mounted {
		t.Fatalf("Upload: %v, %v", how, err)
	}
	closePatiently(c)
	if len(f.sessions) != 0 {
		t.Error("an upload that the first try opened was left open")
	}
	_, d = blobOf(5001)
	data, _ = blobOf(5001)
	posts := f.requests("POST")
	how, err = c.Repository("me/app").Upload(t.Context(), d, []string{"other/one"}, &bytesContent{data: data}, nil)
	if err != nil || how != Uploaded || f.requests("POST") != posts+1 {
		t.Errorf("Upload: %v, %v, with %d POSTs: the upload opened instead of the mount is to be used", how, err, f.requests("POST")-posts)
	}
}

// An upload that is opened with 201 in place of 202 is no blob that is there.
func TestUploadOpenedWithCreated(t *testing.T) {
	for name, from := range map[string][]string{"plain": nil, "in place of a mount": {"other/one"}} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.opens = http.StatusCreated
			c, _ := f.client(nil)
			r := c.Repository("me/app")
			for i := range 2 { // the second in the upload that proved the permission
				if i == 1 {
					if err := r.StartUpload(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				data, d := blobOf(5000 + i)
				how, err := r.Upload(t.Context(), d, from, &bytesContent{data: data}, nil)
				if err != nil || how != Uploaded || !bytes.Equal(f.blobs["me/app@"+d.Digest.String()], data) {
					t.Errorf("Upload: %v, %v: %v", how, err, f.log)
				}
			}
			closePatiently(c)
			if len(f.sessions) != 0 {
				t.Error("an upload was left open")
			}
		})
	}
}

// A registry that cannot mount still gets the blob, and soon.
func TestUploadWhereMountsFail(t *testing.T) {
	for _, status := range []int{400, 401, 403, 404, 405, 500, 502} {
		f := newFake(t)
		f.hook = func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Query().Has("mount") {
				w.WriteHeader(status)
				return true
			}
			return false
		}
		c, clock := f.client(nil)
		data, d := blobOf(100)
		how, err := c.Repository("me/app").Upload(t.Context(), d, []string{"other/one"}, &bytesContent{data: data}, nil)
		if err != nil || how != Uploaded {
			t.Errorf("%d: %v, %v", status, how, err)
		}
		if slept := clock.Slept(); slept > 4*firstPause {
			t.Errorf("%d: it took %v", status, slept)
		}
	}
}

// An upload that proved the permission carries a blob: one request less. What no blob
// uses is given up, and nobody waits for that but Close.
func TestStartUpload(t *testing.T) {
	f := newFake(t)
	c, _ := f.client(nil)
	r := c.Repository("me/app")
	if err := r.StartUpload(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i, posts := range []int{1, 2} { // it carries one blob, once
		data, d := blobOf(1000 + i)
		how, err := r.Upload(t.Context(), d, nil, &bytesContent{data: data}, nil)
		if err != nil || how != Uploaded || !bytes.Equal(f.blobs["me/app@"+d.Digest.String()], data) || f.requests("POST") != posts {
			t.Fatalf("Upload: %v, %v, with %d POSTs in all, want %d", how, err, f.requests("POST"), posts)
		}
	}
	deleting := make(chan struct{})
	release := make(chan struct{})
	f.hook = func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodDelete {
			close(deleting)
			<-release
		}
		return false
	}
	if err := r.StartUpload(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.CancelUploads()
	<-deleting // and CancelUploads has returned
	close(release)
	closePatiently(c)
	if f.requests("DELETE") != 1 || len(f.sessions) != 0 {
		t.Errorf("%d DELETEs, %d uploads left", f.requests("DELETE"), len(f.sessions))
	}
}

// What answers 200 to everything is no registry, whatever it says.
func TestStartUploadWhereEverythingIsOK(t *testing.T) {
	f := newFake(t)
	f.hook = func(w http.ResponseWriter, _ *http.Request) bool {
		_, _ = io.WriteString(w, `{"status":"up"}`)
		return true
	}
	c, _ := f.client(nil)
	err := c.Repository("me/app").StartUpload(t.Context())
	if !usererror.Is(err, usererror.NotARegistry) || !strings.Contains(err.Error(), "200 OK") {
		t.Error(err)
	}
}

// Blobs take the uploads that were opened ahead, also one that is still being opened, and open
// their own where that failed or none is left. What no blob takes is given up, whenever it opens.
func TestOpenUploads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeHandler(t)
		var posts atomic.Int32
		f.hook = func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodPost {
				time.Sleep(time.Second)
				if posts.Add(1) == 2 {
					w.WriteHeader(http.StatusServiceUnavailable)
					return true
				}
			}
			return false
		}
		c := New(Options{Host: "registry.example", Base: handlerTripper{f}})
		r := c.Repository("a")
		if err := r.StartUpload(t.Context()); err != nil { // post 1
			t.Fatal(err)
		}
		start := time.Now()
		upload := func(n int, posts int, took time.Duration) {
			data, d := blobOf(n)
			if how, err := r.Upload(t.Context(), d, nil, &bytesContent{data: data}, nil); how != Uploaded || err != nil {
				t.Errorf("blob %d: %v, %v", n, how, err)
			}
			if f.requests("POST") != posts || time.Since(start) != took {
				t.Errorf("blob %d: %d POSTs after %v, want %d after %v", n, f.requests("POST"), time.Since(start), posts, took)
			}
		}
		wait := r.OpenUploads(t.Context(), 2) // post 2, which fails
		synctest.Wait()
		upload(1, 2, 0)
		upload(2, 3, 2*time.Second) // waits for the one that fails, and opens its own
		wait()
		wait = r.OpenUploads(t.Context(), 1)
		upload(3, 4, 3*time.Second)
		upload(4, 5, 4*time.Second)
		wait()
		wait = r.OpenUploads(t.Context(), 2)
		synctest.Wait()
		r.CancelUploads()
		r.OpenUploads(t.Context(), 2)() // nobody wants them any more
		wait()
		c.Close()
		if posts, deleted := f.requests("POST"), f.requests("DELETE"); posts != 7 || deleted != 2 || len(f.sessions) != 0 {
			t.Errorf("%d POSTs and %d DELETEs, %d uploads left", posts, deleted, len(f.sessions))
		}
	})
}

// Close waits for uploads that are being given up, but not for ever.
func TestCloseWaitsForCancellations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeHandler(t)
		f.hook = func(_ http.ResponseWriter, r *http.Request) bool {
			return r.Method == http.MethodDelete && (retry.SystemClock{}).Sleep(r.Context(), time.Hour) != nil
		}
		c := New(Options{Host: "registry.example", Base: handlerTripper{f}, Stall: time.Hour})
		if err := c.Repository("a").StartUpload(t.Context()); err != nil {
			t.Fatal(err)
		}
		c.Repository("a").CancelUploads()
		start := time.Now()
		c.Close()
		if waited := time.Since(start); waited != 2*time.Second {
			t.Errorf("Close took %v", waited)
		}
	})
}

// A registry that still writes down what came before the break moves on while it is
// told to give the upload up (Distribution 3 answers 416): it is told again.
func TestCancelOfAnUploadStillWrittenTo(t *testing.T) {
	f := newFake(t)
	behind := 2
	f.hook = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodDelete {
			return false
		}
		if behind--; behind >= 0 {
			refuse(w, http.StatusRequestedRangeNotSatisfiable, "RANGE_INVALID", "invalid content range")
			return true
		}
		return false
	}
	c, _ := f.client(nil)
	if err := c.Repository("a").StartUpload(t.Context()); err != nil {
		t.Fatal(err)
	}
	closePatiently(c)
	if f.requests("GET /v2/a/blobs/uploads/") != 2 || f.requests("DELETE") != 3 || len(f.sessions) != 0 {
		t.Errorf("%v, %d uploads left", f.log, len(f.sessions))
	}
}

// waitingContent opens when it is let.
type waitingContent struct {
	bytesContent
	asked, open chan struct{}
}

func (s *waitingContent) Open(ctx context.Context, offset int64) (io.ReadCloser, error) {
	close(s.asked)
	<-s.open
	return s.bytesContent.Open(ctx, offset)
}

// The content is asked for while the upload is being opened.
func TestUploadOpensTheContentAhead(t *testing.T) {
	f := newFake(t)
	data, d := blobOf(1000)
	content := &waitingContent{bytesContent: bytesContent{data: data}, asked: make(chan struct{}), open: make(chan struct{})}
	f.hook = func(w http.ResponseWriter, r *http.Request) bool {
		switch r.Method {
		case http.MethodPost:
			<-content.asked
		case http.MethodPut:
			close(content.open) // the request is on its way before the content is there
		}
		return false
	}
	c, _ := f.client(nil)
	how, err := c.Repository("a").Upload(t.Context(), d, nil, content, nil)
	if err != nil || how != Uploaded || content.opens.Load() != 1 {
		t.Errorf("%v, %v, opened %d times", how, err, content.opens.Load())
	}
}

// What was opened ahead is closed, and its failures are its own, whatever becomes of
// the upload.
func TestContentOpenedAhead(t *testing.T) {
	broken := errors.New("the source is gone")
	for name, test := range map[string]struct {
		content Content
		status  int // of POST, 0 for success
		want    error
	}{
		"refused":              {content: &closeCounter{}, status: http.StatusForbidden},
		"opened nowhere":       {content: &closeCounter{}, status: http.StatusCreated},
		"a content that fails": {content: failing{broken}, want: broken},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.hook = func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method == http.MethodPost && test.status != 0 {
					w.WriteHeader(test.status)
					return true
				}
				return false
			}
			c, clock := f.client(nil)
			_, d := blobOf(1000)
			_, err := c.Repository("a").Upload(t.Context(), d, nil, test.content, nil)
			if test.want != nil && err != test.want || (err != nil) != (test.want != nil || test.status != 0) {
				t.Errorf("Upload: %v", err)
			}
			if counter, ok := test.content.(*closeCounter); ok && (counter.opened.Load() != 1 || counter.closed.Load() != 1) {
				t.Errorf("opened %d times, closed %d times", counter.opened.Load(), counter.closed.Load())
			}
			if clock.Slept() != 0 {
				t.Error("it was tried again")
			}
			closePatiently(c)
			if len(f.sessions) != 0 {
				t.Error("an upload was left open")
			}
		})
	}
}

type failing struct{ err error }

func (f failing) Open(context.Context, int64) (io.ReadCloser, error) { return nil, f.err }

// closeCounter is a content of zeros that counts its readers.
type closeCounter struct{ opened, closed atomic.Int64 }

func (c *closeCounter) Open(context.Context, int64) (io.ReadCloser, error) {
	c.opened.Add(1)
	return c, nil
}

func (c *closeCounter) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func (c *closeCounter) Close() error {
	c.closed.Add(1)
	return nil
}

// breaks returns a limitBody that breaks the first bodies after the given bytes.
func breaks(after ...int64) func(*http.Request) int64 {
	return func(*http.Request) int64 {
		if len(after) == 0 {
			return -1
		}
		n := after[0]
		after = after[1:]
		return n
	}
}

func TestUploadGoesOnWhereItBroke(t *testing.T) {
	const size = 8 << 20
	for name, test := range map[string]struct {
		change func(*fake)
		after  []int64
		most   float64 // bytes at the server, as a multiple of the size
	}{
		"at the start":      {after: []int64{0}, most: 1},
		"after one byte":    {after: []int64{1}, most: 1.01},
		"in the middle":     {after: []int64{size / 2}, most: 1.01},
		"at the end":        {after: []int64{size - 1}, most: 1.01},
		"with all bytes":    {after: []int64{size}, most: 1.01},
		"five times":        {after: []int64{size / 5, size / 5, size / 5, size / 5, size / 10}, most: 1.01},
		"sessions are lost": {change: func(f *fake) { f.forget = true }, after: []int64{size / 2, size / 4}, most: 1.8},
		"no body in a PUT":  {change: func(f *fake) { f.noPutBody = true }, after: []int64{size / 2, size / 4}, most: 1.01},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			if test.change != nil {
				test.change(f)
			}
			f.limitBody = breaks(test.after...)
			c, _ := f.client(nil)
			data, d := blobOf(size)
			var p sum
			how, err := c.Repository("me/app").Upload(t.Context(), d, nil, &bytesContent{data: data}, &p)
			if err != nil || how != Uploaded {
				t.Fatalf("Upload: %v, %v", how, err)
			}
			if !bytes.Equal(f.blobs["me/app@"+d.Digest.String()], data) {
				t.Error("the registry has something else")
			}
			if p.n.Load() != d.Size {
				t.Errorf("progress adds up to %d of %d", p.n.Load(), d.Size)
			}
			if got := float64(f.bodyBytes) / size; got > test.most {
				t.Errorf("the registry got %.2f times the blob", got)
			}
		})
	}
}

func TestUploadAnswerLost(t *testing.T) {
	f := newFake(t)
	c, _ := f.client(nil)
	data, d := blobOf(1 << 20)
	lost := false
	f.hook = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPut || lost {
			return false
		}
		lost = true
		f.hook = nil
		inner := discardResponse{http.Header{}}
		f.upload(inner, r, "me/app", strings.TrimPrefix(r.URL.Path, "/v2/me/app/blobs/uploads/"))
		panic(http.ErrAbortHandler)
	}
	how, err := c.Repository("me/app").Upload(t.Context(), d, nil, &bytesContent{data: data}, nil)
	if err != nil || how != Uploaded {
		t.Fatalf("Upload: %v, %v", how, err)
	}
	if f.bodyBytes != d.Size {
		t.Errorf("%d bytes were sent for a blob of %d that had arrived", f.bodyBytes, d.Size)
	}
}

// The connection is broken for us, but its bytes still reach the registry, which
// finishes the upload while we are about to go on with it.
func TestUploadFinishedBehindOurBack(t *testing.T) {
	f := newFake(t)
	c, _ := f.client(nil)
	data, d := blobOf(1 << 20)
	f.limitBody = breaks(1000)
	f.hook = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPatch {
			return false
		}
		_, _ = io.Copy(io.Discard, r.Body)
		f.mu.Lock()
		defer f.mu.Unlock()
		f.blobs["me/app@"+d.Digest.String()] = data
		clear(f.sessions)
		refuse(w, http.StatusRequestedRangeNotSatisfiable, "RANGE_INVALID", "invalid content range")
		return true
	}
	var p sum
	how, err := c.Repository("me/app").Upload(t.Context(), d, nil, &bytesContent{data: data}, &p)
	if err != nil || how != Uploaded || p.n.Load() != d.Size || f.requests("POST") != 1 {
		t.Errorf("Upload: %v, %v, progress %d, %d POSTs", how, err, p.n.Load(), f.requests("POST"))
	}
}

type discardResponse struct{ h http.Header }

func (d discardResponse) Header() http.Header         { return d.h }
func (d discardResponse) Write(p []byte) (int, error) { return len(p), nil }
func (d discardResponse) WriteHeader(int)             {}

func TestUploadInPieces(t *testing.T) {
	const most = 3 << 20
	f := newFake(t)
	f.hook = func(w http.ResponseWriter, r *http.Request) bool {
		if r.ContentLength > most {
			w.WriteHeader(http.StatusRequestEntityTooLarge)
			return true
		}
		return false
	}
	c, _ := f.client(nil)
	data, d := blobOf(9 << 20)
	var p sum
	how, err := c.Repository("me/app").Upload(t.Context(), d, nil, &bytesContent{data: data}, &p)
	if err != nil || how != Uploaded || !bytes.Equal(f.blobs["me/app@"+d.Digest.String()], data) || p.n.Load() != d.Size {
		t.Fatalf("Upload: %v, %v, progress %d", how, err, p.n.Load())
	}
}

func TestUploadWrongBytes(t *testing.T) {
	f := newFake(t)
	c, _ := f.client(nil)
	data, d := blobOf(1000)
	data[17]++
	_, err := c.Repository("me/app").Upload(t.Context(), d, nil, &bytesContent{data: data}, nil)
	if !usererror.Is(err, usererror.DigestMismatch) {
		t.Fatalf("Upload: %v", err)
	}
	if n := f.requests("PUT"); n != 2 {
		t.Errorf("%d tries, want 2", n)
	}
	closePatiently(c)
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.sessions) != 0 {
		t.Error("an upload was left open")
	}
}

func TestUploadGivesUp(t *testing.T) {
	f := newFake(t)
	f.hook = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPut {
			refuse(w, http.StatusServiceUnavailable, "UNAVAILABLE", "come back later")
			return true
		}
		return false
	}
	c, clock := f.client(nil)
	data, d := blobOf(1000)
	_, err := c.Repository("me/app").Upload(t.Context(), d, nil, &bytesContent{data: data}, nil)
	if !usererror.Is(err, usererror.RegistryGaveUp) || !strings.Contains(err.Error(), "come back later") || !strings.Contains(err.Error(), f.host()+"/me/app") {
		t.Fatalf("Upload: %v", err)
	}
	if slept := clock.Slept(); slept > retryBudget || slept < retryBudget/2 {
		t.Errorf("given up after %v", slept)
	}
	closePatiently(c)
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.sessions) != 0 {
		t.Error("an upload was left open")
	}
}

type brokenContent struct {
	data []byte
	err  error
}

func (b brokenContent) Open(context.Context, int64) (io.ReadCloser, error) {
	return io.NopCloser(io.MultiReader(bytes.NewReader(b.data), errReader{b.err})), nil
}

type errReader struct{ err error }

func (e errReader) Read([]byte) (int, error) { return 0, e.err }

func TestUploadOfABrokenSource(t *testing.T) {
	f := newFake(t)
	c, clock := f.client(nil)
	_, d := blobOf(1 << 20)
	want := errors.New("the disk is gone")
	_, err := c.Repository("me/app").Upload(t.Context(), d, nil, brokenContent{make([]byte, 5000), want}, nil)
	if !errors.Is(err, want) || err.Error() != want.Error() {
		t.Fatalf("Upload: %v", err)
	}
	if clock.Slept() != 0 {
		t.Error("it was tried again")
	}
	closePatiently(c)
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.sessions) != 0 {
		t.Error("an upload was left open")
	}
}

func TestUploadCancelled(t *testing.T) {
	f := newFake(t)
	ctx, cancel := context.WithCancel(t.Context())
	f.hook = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPut {
			cancel()
			_, _ = io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
			return true
		}
		return false
	}
	c, _ := f.client(nil)
	data, d := blobOf(1 << 20)
	_, err := c.Repository("me/app").Upload(ctx, d, nil, &bytesContent{data: data}, nil)
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("Upload: %v", err)
	}
	closePatiently(c)
	if f.requests("DELETE") != 1 || len(f.sessions) != 0 {
		t.Error("the upload was left open")
	}
}

// A registry may take its time to hash a blob that came in pieces: the request that closes such an
// upload has no body, but much to do.
func TestUploadClosedSlowly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeHandler(t)
		f.noPutBody = true
		f.hook = func(_ http.ResponseWriter, r *http.Request) bool {
			return r.Method == http.MethodPut && r.ContentLength == 0 && (retry.SystemClock{}).Sleep(r.Context(), 2*time.Minute) != nil
		}
		c := New(Options{Host: "registry.example", Base: handlerTripper{f}})
		data, d := blobOf(100)
		how, err := c.Repository("a").Upload(t.Context(), d, nil, &bytesContent{data: data}, nil)
		if err != nil || how != Uploaded || c.Stats().Retries != 0 {
			t.Errorf("%v, %v, %d retries", how, err, c.Stats().Retries)
		}
	})
}

// handlerTripper hands requests to a handler, without a network.
type handlerTripper struct{ http.Handler }

func (h handlerTripper) RoundTrip(req *http.Request) (*http.Response, error) {
	answer := httptest.NewRecorder()
	h.ServeHTTP(answer, req)
	if req.Body != nil {
		_ = req.Body.Close()
	}
	if err := req.Context().Err(); err != nil {
		return nil, err
	}
	resp := answer.Result()
	resp.Request = req
	return resp, nil
}
