package transport

import (
	"context"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"testing"
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
