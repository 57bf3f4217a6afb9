package light_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/multi-registry-push/multi-registry-push/test/light"
)

// Bytes are counted before the client can have them.
func TestCounterIsNotLate(t *testing.T) {
	answered, end, ended := make(chan struct{}), make(chan struct{}), make(chan struct{})
	n := light.NewCounter(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, "blob")
		close(answered)
		<-end
	}))
	go func() {
		defer close(ended)
		n.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/v2/app/blobs/1", strings.NewReader("content")))
	}()
	<-answered
	if c := n.Snapshot(); c.Received != 7 || c.Bytes != 4 || c.BlobBytes != 4 {
		t.Errorf("%+v", c)
	}
	close(end)
	<-ended
}
