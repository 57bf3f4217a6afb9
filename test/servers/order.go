package servers

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// order holds clients to the order of their writes: permission before bytes, blobs, children
// and the subject before a manifest, and all that an image consists of before a tag. It asks
// the registry what is there when a manifest comes, so that what a registry takes unchecked
// is seen too. Requests from behind (Server.Inspect) may come in any order.
type order struct {
	next http.Handler

	mu        sync.Mutex
	wrong     []string
	writes    []*Write
	permitted map[string]bool  // repositories in which an upload was opened
	known     map[string]bool  // repository@digest that a client was told to be there
	lost      map[string]bool  // repository@digest that was deleted from behind
	writing   map[string]int   // repository@digest: requests that write it now
	uploads   map[string]int64 // by session: the moment in which it was opened
}

// Write is a request that changed a registry, or asked whether it may.
type Write struct {
	Began, Ended int64 // moments, see Now; Ended 0: is still being answered
	Kind         WriteKind
	Repository   string
	Name         string          // the tag, or the digest
	Digest       string          // of a manifest or a blob
	Subject      string          // a manifest's
	Image        map[string]bool // digests of all manifests that a tag's image consists of
	Status       int

	opened int64 // of bytes: the moment in which their upload was opened
}

// WriteKind is what a Write writes.
type WriteKind string

// Kinds of writes.
const (
	Opened   WriteKind = "upload" // an upload is opened, or a blob mounted: permission
	Sent     WriteKind = "bytes"  // of a blob
	Manifest WriteKind = "manifest"
	Tag      WriteKind = "tag"
)

// moments counts begins and ends of writes at all servers of the process.
var moments atomic.Int64

// Now returns the present moment in the one order of writes at all servers.
func Now() int64 { return moments.Add(1) }

// fromBehind marks the context of requests by Server.Inspect.
type fromBehind struct{}

var (
	uploadOf = regexp.MustCompile(`^/v2/(.+)/blobs/uploads/([^/]*)$`)
	stored   = regexp.MustCompile(`^/v2/(.+)/(blobs|manifests)/([^/]+)$`)
)

func newOrder(next http.Handler) *order {
	return &order{next: next, permitted: map[string]bool{}, known: map[string]bool{},
		lost: map[string]bool{}, writing: map[string]int{}, uploads: map[string]int64{}}
}

func (o *order) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	behind := r.Context().Value(fromBehind{}) != nil
	if r.Method == http.MethodGet || r.Method == http.MethodHead || r.Method == http.MethodDelete {
		out := &telling{ResponseWriter: w, tell: func(status int) { o.learn(r, status, behind) }}
		o.next.ServeHTTP(out, r)
		out.note(http.StatusOK)
		return
	}
	write := &Write{Began: Now()}
	body := &countingBody{ReadCloser: r.Body}
	r = r.WithContext(r.Context())
	r.Body = body
	o.begin(write, r, behind)
	out := &telling{ResponseWriter: w, tell: func(status int) {
		o.end(write, max(body.count(), r.ContentLength), status, w.Header(), behind)
	}}
	defer out.note(0) // the answer was dropped
	o.next.ServeHTTP(out, r)
	out.note(http.StatusOK)
}

// forget drops the writes so far, as a Log.Reset does with requests.
func (o *order) forget() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.writes = nil
	clear(o.known)
}

// learn notes what a read told its client, and what a deletion from behind took away.
func (o *order) learn(r *http.Request, status int, behind bool) {
	m := stored.FindStringSubmatch(r.URL.Path)
	if m == nil || status >= 300 {
		return
	}
	key := m[1] + "@" + m[3]
	o.mu.Lock()
	defer o.mu.Unlock()
	if r.Method == http.MethodDelete {
		delete(o.known, key)
		o.lost[key] = o.lost[key] || behind
		return
	}
	o.known[key] = true
}

// begin says what r writes, and checks that it may come now.
func (o *order) begin(write *Write, r *http.Request, behind bool) {
	if m := uploadOf.FindStringSubmatch(r.URL.Path); m != nil {
		write.Repository, write.Kind, write.opened = m[1], Sent, o.openedAt(m[2])
		if write.Digest = r.URL.Query().Get("digest"); r.Method == http.MethodPost {
			write.Kind, write.Digest = Opened, r.URL.Query().Get("mount")
		}
	} else if m := stored.FindStringSubmatch(r.URL.Path); m != nil && m[2] == "manifests" && r.Method == http.MethodPut {
		write.Repository, write.Kind, write.Name = m[1], Manifest, m[3]
		if !strings.Contains(write.Name, ":") {
			write.Kind = Tag
		}
		o.manifest(write, r, behind)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if write.Digest != "" {
		o.writing[write.Repository+"@"+write.Digest]++
	}
	if !behind {
		o.writes = append(o.writes, write)
	}
}

func (o *order) openedAt(session string) int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.uploads[session]
}

// end notes what came of a write, whose answer has this header.
func (o *order) end(write *Write, sent int64, status int, header http.Header, behind bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	key := write.Repository + "@" + write.Digest
	if write.Digest != "" {
		o.writing[key]--
	}
	write.Status, write.Ended = status, Now()
	if write.Kind == Sent && sent > 0 && !o.permitted[write.Repository] && !behind {
		o.wrong = append(o.wrong, fmt.Sprintf("%d bytes to %s before an upload was allowed there", sent, write.Repository))
	}
	if write.Kind == Sent && sent == 0 {
		write.Kind = "" // an upload is ended
	}
	if status != http.StatusCreated && status != http.StatusAccepted {
		return
	}
	if write.Kind == Opened {
		o.permitted[write.Repository] = true
		if u, err := url.Parse(header.Get("Location")); err == nil && u.Path != "" {
			o.uploads[path.Base(u.Path)] = write.Ended
		}
	}
	if status == http.StatusCreated && write.Digest != "" {
		o.known[key] = true
		delete(o.lost, key)
	}
}

// pointers are the fields of a manifest or an index that name something else.
type pointers struct {
	Config    *v1.Descriptor  `json:"config"`
	Layers    []v1.Descriptor `json:"layers"`
	Blobs     []v1.Descriptor `json:"blobs"`
	Manifests []v1.Descriptor `json:"manifests"`
	Subject   *v1.Descriptor  `json:"subject"`
}

// blobs returns the digests that must be there as blobs.
func (p pointers) blobs() (digests []string) {
	all := append(p.Layers, p.Blobs...)
	if p.Config != nil {
		all = append(all, *p.Config)
	}
	for _, d := range all {
		if len(d.URLs) == 0 {
			digests = append(digests, d.Digest.String())
		}
	}
	return digests
}

// manifest reads what r writes and checks that what it points at is there.
func (o *order) manifest(write *Write, r *http.Request, behind bool) {
	raw, err := io.ReadAll(io.LimitReader(r.Body, 8<<20))
	rest := io.Reader(r.Body)
	if err != nil {
		rest = failing{err}
	}
	r.Body = body{io.MultiReader(bytes.NewReader(raw), rest), r.Body}
	var p pointers
	if err != nil || json.Unmarshal(raw, &p) != nil {
		return
	}
	hash, _, err := v1.SHA256(bytes.NewReader(raw))
	if err != nil {
		return
	}
	write.Digest = hash.String()
	if p.Subject != nil {
		write.Subject = p.Subject.Digest.String()
	}
	if behind {
		return
	}
	write.Image = map[string]bool{}
	o.whole(write, r, write.Digest, p, write.Image)
}

// whole checks that all that a manifest points at is there: for a tag down to the last blob.
func (o *order) whole(write *Write, r *http.Request, of string, p pointers, image map[string]bool) {
	if image[of] {
		return
	}
	image[of] = true
	for _, digest := range p.blobs() {
		o.there(write, r, of, "blobs/"+digest)
	}
	if p.Subject != nil {
		o.there(write, r, of, "manifests/"+p.Subject.Digest.String())
	}
	for _, d := range p.Manifests {
		raw := o.there(write, r, of, "manifests/"+d.Digest.String())
		var child pointers
		if write.Kind == Tag && json.Unmarshal(raw, &child) == nil {
			o.whole(write, r, d.Digest.String(), child, image)
		}
	}
}

// there checks that something is in the repository that write goes to, and that no request
// that carries it is still open. It returns a manifest's bytes.
func (o *order) there(write *Write, r *http.Request, of, what string) []byte {
	// A client that has given its request up takes nothing away from what is there.
	ask := r.Clone(context.WithoutCancel(r.Context()))
	ask.Method, ask.Body, ask.ContentLength = http.MethodHead, http.NoBody, 0
	ask.Header = http.Header{"Accept": {"*/*", string(types.OCIImageIndex), string(types.OCIManifestSchema1),
		string(types.DockerManifestList), string(types.DockerManifestSchema2)}}
	if auth := r.Header.Values("Authorization"); auth != nil {
		ask.Header["Authorization"] = auth
	}
	if strings.HasPrefix(what, "manifests/") {
		ask.Method = http.MethodGet
	}
	ask.URL.Path, ask.URL.RawPath, ask.URL.RawQuery = "/v2/"+write.Repository+"/"+what, "", ""
	ask.RequestURI = ask.URL.Path
	w := httptest.NewRecorder()
	o.next.ServeHTTP(w, ask)

	key := write.Repository + "@" + what[strings.IndexByte(what, '/')+1:]
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.lost[key] || w.Code == http.StatusUnauthorized || w.Code == http.StatusForbidden:
	case w.Code != http.StatusOK && o.known[key]: // another job writes it again: Distribution shows nothing meanwhile
	case w.Code != http.StatusOK:
		o.wrong = append(o.wrong, fmt.Sprintf("%s %s of %s is written before %s, which %s points at",
			write.Kind, write.Name, write.Repository, what, of))
	case o.writing[key] > 0 && !o.known[key]:
		o.wrong = append(o.wrong, fmt.Sprintf("%s %s of %s is written while %s is still on its way",
			write.Kind, write.Name, write.Repository, what))
	}
	return w.Body.Bytes()
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

type body struct {
	io.Reader
	io.Closer
}

// Disorder returns what was written in a wrong order since it was last called. What nobody
// takes by this fails the server's test when that ends.
func (s *Server) Disorder() []string {
	s.Log.Settled()
	s.order.mu.Lock()
	defer s.order.mu.Unlock()
	wrong := s.order.wrong
	s.order.wrong = nil
	return wrong
}

// Writes returns the writes from a moment on, those that are still being answered included. Bytes
// of an upload that was opened before belong to what ended before.
func (s *Server) Writes(since int64) []Write {
	s.order.mu.Lock()
	defer s.order.mu.Unlock()
	var all []Write
	for _, w := range s.order.writes {
		before := w.opened != 0 && w.opened < since
		if w.Began >= since && w.Kind != "" && !before {
			c := *w
			c.Image = maps.Clone(w.Image)
			all = append(all, c)
		}
	}
	return all
}
