package transport

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Each request is told once, when it has ended, with what it was and how long it took.
func TestTrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []Trace
		broken := errors.New("reset")
		h := New(Options{Host: "registry.example", Trace: func(trace Trace) { got = append(got, trace) },
			Base: tripperFunc(func(req *http.Request) (*http.Response, error) {
				time.Sleep(time.Second)
				if strings.Contains(req.URL.Path, "/blobs/uploads/") {
					return nil, broken
				}
				return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader("12345"))}, nil
			}),
		})
		for _, path := range []string{"/v2/", "/v2/a/manifests/v1", "/v2/a/blobs/sha256:0", "/v2/a/blobs/uploads/", "/v2/a/referrers/x", "/v2/a/tags/list", "/x"} {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://registry.example"+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			before := len(got)
			resp, err := h.Send(req, Sending{})
			if err == nil {
				if len(got) != before {
					t.Errorf("%s: told before it had ended", path)
				}
				time.Sleep(time.Second)
				_, _ = io.ReadAll(resp.Body)
				_ = resp.Body.Close()
				_ = resp.Body.Close()
			}
		}
		kinds := []Kind{KindProbe, KindManifest, KindBlob, KindUpload, KindReferrers, KindTags, KindOther}
		if len(got) != len(kinds) {
			t.Fatalf("%d traces of %d requests", len(got), len(kinds))
		}
		for i, trace := range got {
			want := Trace{Registry: "registry.example", Host: "registry.example", Method: http.MethodGet, Kind: kinds[i],
				Status: http.StatusOK, Start: trace.Start, Duration: 2 * time.Second, Received: 5}
			if kinds[i] == KindUpload {
				want.Status, want.Duration, want.Received, want.Err = 0, time.Second, 0, trace.Err
				if !errors.Is(trace.Err, broken) {
					t.Errorf("ended by %v", trace.Err)
				}
			}
			if trace != want {
				t.Errorf("got %+v, want %+v", trace, want)
			}
		}
	})
}
