package transport

import (
	"context"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

type stringBody string

func (b stringBody) Open(context.Context, *StallTimer, func(int64)) (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader(string(b))), nil
}
func (b stringBody) Size() int64   { return int64(len(b)) }
func (b stringBody) Failed() error { return nil }

// Each upload's connection tells its stall timer.
func TestUploadsWatchTheirConnection(t *testing.T) {
	told := 0
	h := New(Options{Host: "registry.example", Base: tripperFunc(func(req *http.Request) (*http.Response, error) {
		var got conn
		httptrace.ContextClientTrace(req.Context()).GotConn(httptrace.GotConnInfo{Conn: &got})
		if got.stall.Load() != nil {
			told++
		}
		return &http.Response{StatusCode: http.StatusCreated, Body: http.NoBody}, nil
	})})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "https://registry.example/v2/a", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := h.Send(req, Sending{Bulk: true, Body: stringBody("x")})
	if err != nil || told != 1 {
		t.Fatalf("%v, %d watched", err, told)
	}
	Drain(resp)
}

// drip is how many bytes come a second.
type drip int

func (d drip) Read(p []byte) (int, error) { time.Sleep(time.Second); return min(int(d), len(p)), nil }

// Only a blob that is read may take any time, unless hardly anything comes: neither an error in its
// place, nor the answer to one that was sent, drips for ever.
func TestAnswersOfBlobsDoNotDrip(t *testing.T) {
	for _, test := range []struct {
		method string
		status int
		rate   drip
		ends   bool
	}{
		{http.MethodPut, 201, 2 << 10, true}, {http.MethodPut, 400, 2 << 10, true}, {http.MethodGet, 403, 2 << 10, true},
		{http.MethodGet, 200, 2 << 10, false}, {http.MethodGet, 206, 2 << 10, false},
		{http.MethodGet, 200, 1 << 10, true}, {http.MethodGet, 206, 1, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			h := New(Options{Host: "registry.example", Base: tripperFunc(func(req *http.Request) (*http.Response, error) {
				return &http.Response{StatusCode: test.status, Body: io.NopCloser(&untilDone{req.Context(), test.rate})}, nil
			})})
			req, err := http.NewRequestWithContext(t.Context(), test.method, "https://registry.example/v2/a/blobs/x", nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := h.Send(req, Sending{Bulk: true})
			if err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			_, err = io.Copy(io.Discard, io.LimitReader(resp.Body, 3600*int64(test.rate)))
			_ = resp.Body.Close()
			if took := time.Since(start); (err != nil) != test.ends || test.ends && took > defaultStall+defaultAnswer+time.Second {
				t.Errorf("%s %d: %v after %v", test.method, test.status, err, took)
			}
		})
	}
}

// untilDone reads until the request is over, as a transport's body does.
type untilDone struct {
	ctx context.Context
	io.Reader
}

func (u *untilDone) Read(p []byte) (int, error) {
	if u.ctx.Err() != nil {
		return 0, context.Cause(u.ctx)
	}
	return u.Reader.Read(p)
}
