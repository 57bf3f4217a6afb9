package light

import (
	"io"
	"maps"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"time"
)

// Counts is what a server saw since it was last asked to forget.
type Counts struct {
	Requests   int64            // all
	By         map[string]int64 // method and kind of thing: "GET blob", "POST upload", "mount"
	Blobs      map[string]int64 // GETs of each blob
	BlobBytes  int64            // sent in answers to GET blob
	Bytes      int64            // sent in all answers
	Received   int64            // in all requests
	First      time.Time        // when the first request came in
	Repository map[string]int64 // requests by repository
}

func newCounts() *Counts {
	return &Counts{By: map[string]int64{}, Blobs: map[string]int64{}, Repository: map[string]int64{}}
}

// BlobRequests counts what moves or asks for blobs; uploads that were opened and
// cancelled, as logins do, are not among them.
func (c *Counts) BlobRequests() int64 {
	return c.By["HEAD blob"] + c.By["GET blob"] + c.By["PATCH upload"] + c.By["PUT upload"] + c.By["mount"]
}

// Login counts what the check of push permission takes.
func (c *Counts) Login() int64 { return c.By["base"] + c.By["POST upload"] + c.By["DELETE upload"] }

// Add adds what another server saw.
func (c *Counts) Add(o *Counts) {
	c.Requests += o.Requests
	c.BlobBytes += o.BlobBytes
	c.Bytes += o.Bytes
	c.Received += o.Received
	for into, from := range map[*map[string]int64]map[string]int64{&c.By: o.By, &c.Blobs: o.Blobs, &c.Repository: o.Repository} {
		for k, v := range from {
			(*into)[k] += v
		}
	}
}

// Counter counts what goes through a handler.
type Counter struct {
	next http.Handler

	mu sync.Mutex
	c  *Counts
}

// NewCounter counts what goes to next.
func NewCounter(next http.Handler) *Counter { return &Counter{next: next, c: newCounts()} }

// Snapshot returns the counts so far.
func (n *Counter) Snapshot() *Counts {
	n.mu.Lock()
	defer n.mu.Unlock()
	c := *n.c
	c.By, c.Blobs, c.Repository = maps.Clone(c.By), maps.Clone(c.Blobs), maps.Clone(c.Repository)
	return &c
}

// Forget starts at nothing again.
func (n *Counter) Forget() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.c = newCounts()
}

// Paths of the distribution specification ("Endpoints").
var endpoint = regexp.MustCompile(`^/v2/(.+)/(blobs/uploads|blobs|manifests|referrers|tags)/?(.*)$`)

// ServeHTTP counts and passes on.
func (n *Counter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	kind, repository, thing := "base", "", ""
	if m := endpoint.FindStringSubmatch(r.URL.Path); m != nil {
		repository, thing = m[1], m[3]
		kind = map[string]string{"blobs/uploads": "upload", "blobs": "blob", "manifests": "manifest", "referrers": "referrers", "tags": "tags"}[m[2]]
	}
	name := r.Method + " " + kind
	switch {
	case kind == "base":
		name = kind
	case r.URL.Query().Has("mount"):
		name = "mount"
	}
	r.Body = &countedBody{r.Body, n}
	out := &countedWriter{ResponseWriter: w, to: n, blob: name == "GET blob"}
	n.mu.Lock()
	if n.c.Requests == 0 {
		n.c.First = time.Now()
	}
	n.c.Requests++
	n.c.By[name]++
	if repository != "" {
		n.c.Repository[repository]++
	}
	if name == "GET blob" {
		n.c.Blobs[strings.TrimSpace(thing)]++
	}
	n.mu.Unlock()
	n.next.ServeHTTP(out, r)
}

type countedBody struct {
	io.ReadCloser
	to *Counter
}

func (b *countedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.to.mu.Lock()
	defer b.to.mu.Unlock()
	b.to.c.Received += int64(n)
	return n, err
}

// countedWriter counts bytes before the client can have them. It leaves sendfile possible, of
// which it counts them afterwards: the servers' work must not cost more than without it.
type countedWriter struct {
	http.ResponseWriter
	to   *Counter
	blob bool
}

func (w *countedWriter) count(n int64) {
	w.to.mu.Lock()
	defer w.to.mu.Unlock()
	w.to.c.Bytes += n
	if w.blob {
		w.to.c.BlobBytes += n
	}
}

func (w *countedWriter) Write(p []byte) (int, error) {
	w.count(int64(len(p)))
	n, err := w.ResponseWriter.Write(p)
	w.count(int64(n - len(p)))
	return n, err
}

func (w *countedWriter) ReadFrom(r io.Reader) (int64, error) {
	n, err := io.Copy(w.ResponseWriter, r)
	w.count(n)
	return n, err
}

func (w *countedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
