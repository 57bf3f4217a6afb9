package servers

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// What a client knows of its request is in the log, however much longer the handler takes.
func TestLogKnowsWhatClientsKnow(t *testing.T) {
	answered, end, ended := make(chan struct{}), make(chan struct{}), make(chan struct{})
	l := newLog()
	h := l.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Location", "/here")
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, "yes")
		close(answered)
		<-end
	}))
	go func() {
		defer close(ended)
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("PUT", "/v2/", strings.NewReader("content")))
	}()
	<-answered
	r := l.All()[0]
	if r.Status != http.StatusCreated || r.Answer.Get("Location") != "/here" || r.BytesIn != 7 || r.BytesOut != 3 || r.Done {
		t.Errorf("%s, %v, done: %t", r, r.Answer, r.Done)
	}
	close(end)
	<-ended
	if r := l.All()[0]; !r.Done {
		t.Errorf("%s is not done", r)
	}
}
