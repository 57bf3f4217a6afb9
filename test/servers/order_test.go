package servers

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// A blob, and a manifest that names it.
const (
	digest   = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	manifest = `{"config":{"digest":"` + digest + `"}}`
)

func ask(h http.Handler, method, path, body string) {
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(method, path, strings.NewReader(body)))
}

// A manifest that comes while its blob is still on its way is seen, also where the registry
// has the blob already and only its answer is due.
func TestOrderSeesWhatIsOnItsWay(t *testing.T) {
	arrived, answer := make(chan struct{}), make(chan struct{})
	o := newOrder(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Has("digest") {
			close(arrived)
			<-answer
		}
		if r.Method == http.MethodHead {
			return
		}
		w.WriteHeader(http.StatusCreated)
	}))
	ask(o, "POST", "/v2/acme/app/blobs/uploads/", "")
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		ask(o, "PUT", "/v2/acme/app/blobs/uploads/1?digest="+digest, "content")
	}()
	<-arrived
	ask(o, "PUT", "/v2/acme/app/manifests/1", manifest)
	close(answer)
	<-ended
	ask(o, "PUT", "/v2/acme/app/manifests/1", manifest)
	if len(o.wrong) != 1 || !strings.Contains(o.wrong[0], "still on its way") {
		t.Errorf("%q", o.wrong)
	}
}

// What a client does on an answer that it has is in order, however much longer the handler
// takes that sent it.
func TestOrderBelievesAnswers(t *testing.T) {
	for name, arrives := range map[string]func(http.ResponseWriter){
		"with a status":    func(w http.ResponseWriter) { w.WriteHeader(http.StatusCreated) },
		"and is flushed":   func(w http.ResponseWriter) { w.WriteHeader(http.StatusCreated); w.(http.Flusher).Flush() },
		"after an interim": func(w http.ResponseWriter) { w.WriteHeader(http.StatusContinue); w.WriteHeader(http.StatusCreated) },
	} {
		t.Run(name, func(t *testing.T) {
			answered, end := make(chan struct{}), make(chan struct{})
			o := newOrder(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch {
				case r.Method == http.MethodHead:
				case r.URL.Query().Has("digest"):
					arrives(w)
					close(answered)
					<-end
				default:
					w.WriteHeader(http.StatusCreated)
				}
			}))
			ask(o, "POST", "/v2/acme/app/blobs/uploads/", "")
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				ask(o, "PUT", "/v2/acme/app/blobs/uploads/1?digest="+digest, "content")
			}()
			<-answered
			ask(o, "PUT", "/v2/acme/app/manifests/1", manifest)
			close(end)
			<-ended
			if len(o.wrong) > 0 {
				t.Errorf("%q", o.wrong)
			}
			for _, w := range o.writes {
				if w.Status != http.StatusCreated || w.Ended == 0 {
					t.Errorf("%+v", *w)
				}
			}
		})
	}
}

// Run sees bytes that were sent, and tags that were written, before every registry was ready
// for them, and signatures that came after the tag.
func TestOrderOfRuns(t *testing.T) {
	one, two := &Server{Host: "one", order: newOrder(nil)}, &Server{Host: "two", order: newOrder(nil)}
	both := []Target{{one, "app", "sha256:1"}, {two, "app", "sha256:1"}}
	of := map[string]bool{"sha256:1": true}
	ready := []Write{{Kind: Opened}, {Kind: Sent}, {Kind: Manifest, Digest: "sha256:1"}}
	tag := Write{Kind: Tag, Name: "1", Digest: "sha256:1", Image: of}
	for _, c := range []struct {
		name         string
		one, two     []Write // one's first
		after        []Write // at one
		gates, whole bool
		says         string
	}{
		{"as they come", append(ready, tag), append(ready, tag), nil, false, false, ""},
		{"bytes before the other's permission", ready, ready, nil, true, false, "bytes to app before two"},
		{"bytes without the other's permission", ready, nil, nil, true, false, "bytes to app before two"},
		{"a tag before the other is whole", append(ready, tag), ready, nil, false, true, "two is written to after"},
		{"all whole first", ready, ready, []Write{tag}, false, true, ""},
		{"a referrer after the tag", append(ready, tag), nil, []Write{{Kind: Manifest, Subject: "sha256:1"}}, false, false, "after the tag"},
		{"a signature's tag after the tag", append(ready, tag), nil, []Write{{Kind: Tag, Name: "sha256-1.sig"}}, false, false, "after the tag"},
		{"another's referrer", append(ready, tag), nil, []Write{{Kind: Manifest, Subject: "sha256:2"}}, false, false, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			run := Run{Began: Now(), Targets: both, Permissions: c.gates, Atomic: c.whole}
			one.order.writes, two.order.writes = nil, nil
			for _, at := range []struct {
				s *Server
				w []Write
			}{{one, c.one}, {two, c.two}, {one, c.after}} {
				for _, w := range at.w {
					w.Repository, w.Status, w.Began, w.Ended = "app", http.StatusCreated, Now(), Now()
					at.s.order.writes = append(at.s.order.writes, &w)
				}
			}
			got := strings.Join(run.Disorder(), "\n")
			if (c.says == "") != (got == "") || !strings.Contains(got, c.says) {
				t.Errorf("%q", got)
			}
		})
	}
}

// What breaks off while a manifest is being read reaches the registry as it does without us.
func TestOrderPassesBrokenBodies(t *testing.T) {
	var got error
	o := newOrder(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, got = io.ReadAll(r.Body) }))
	r := httptest.NewRequest("PUT", "/v2/acme/app/manifests/1", io.MultiReader(strings.NewReader("{"), failing{io.ErrUnexpectedEOF}))
	o.ServeHTTP(httptest.NewRecorder(), r)
	if got != io.ErrUnexpectedEOF || len(o.wrong) > 0 {
		t.Errorf("%v, %q", got, o.wrong)
	}
}
