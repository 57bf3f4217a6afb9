package registry

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"go.uber.org/goleak"

	"github.com/multi-registry-push/multi-registry-push/internal/retry/clocktest"
)

// Defaults of the options, and bounds of back-off, that tests count with.
const (
	firstContact   = 10 * time.Second
	retryBudget    = 5 * time.Minute
	firstPause     = 500 * time.Millisecond
	longestPause   = 30 * time.Second
	unknownHostFor = 3 * time.Second
)

type tripperFunc func(*http.Request) (*http.Response, error)

func (f tripperFunc) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake is a registry that keeps upload sessions, in as few lines as the protocol
// needs. Real registries are in test/registry; this one does on demand what they do
// only sometimes.
type fake struct {
	*httptest.Server
	t *testing.T

	mu        sync.Mutex
	blobs     map[string][]byte // repo@digest
	manifests map[string][]byte // repo:ref
	types     map[string]string
	sessions  map[string]*fakeSession
	log       []string // METHOD path
	bodyBytes int64    // of uploads, as received

	// hook sees each request first and may answer it (true).
	hook func(w http.ResponseWriter, r *http.Request) bool
	// limitBody breaks the connection of an upload's body after so many bytes; it
	// is called for each PUT and PATCH, and -1 means no break.
	limitBody func(r *http.Request) int64
	noPutBody bool // refuse blobs in one PUT
	opens     int  // status with which uploads are opened, 0 for 202
	forget    bool // lose a session when its connection breaks
	sequence  int
}

type fakeSession struct {
	repo string
	data []byte
}

func newFake(t *testing.T) *fake {
	t.Helper()
	f := newFakeHandler(t)
	f.Server = httptest.NewServer(f)
	t.Cleanup(f.Close)
	return f
}

func newFakeHandler(t *testing.T) *fake {
	return &fake{
		t: t, blobs: map[string][]byte{}, manifests: map[string][]byte{}, types: map[string]string{},
		sessions: map[string]*fakeSession{},
	}
}

// inBubble serves f to a client over connections in memory: in a bubble, no time-out passes while
// anybody has something to do.
func (f *fake) inBubble(o Options) *Client {
	network := make(pipes)
	server := &http.Server{Handler: f, ReadHeaderTimeout: time.Hour}
	base := &http.Transport{DialContext: network.dial}
	o.Host, o.Base = "localhost:5000", base
	c := New(o)
	go func() { _ = server.Serve(network) }()
	f.t.Cleanup(func() {
		c.Close()
		base.CloseIdleConnections()
		_ = server.Close()
	})
	return c
}

// pipes is a listener to which dial connects.
type pipes chan net.Conn

func (p pipes) dial(context.Context, string, string) (net.Conn, error) {
	here, there := net.Pipe()
	p <- there
	return here, nil
}

func (p pipes) Accept() (net.Conn, error) {
	if conn, ok := <-p; ok {
		return conn, nil
	}
	return nil, net.ErrClosed
}

func (p pipes) Close() error { close(p); return nil }

func (p pipes) Addr() net.Addr { return &net.TCPAddr{} }

func (f *fake) host() string {
	return strings.TrimPrefix(strings.TrimPrefix(f.URL, "https://"), "http://")
}

func (f *fake) requests(prefix string) (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, line := range f.log {
		if strings.HasPrefix(line, prefix) {
			n++
		}
	}
	return n
}

func refuse(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"errors": []any{map[string]string{"code": code, "message": message}}})
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	f.log = append(f.log, r.Method+" "+r.URL.Path)
	hook := f.hook
	f.mu.Unlock()
	// What a handler did comes before what the next one does, also where the connection broke:
	// the race detector does not see that through the network.
	defer func() { f.mu.Lock(); f.mu.Unlock() }() //nolint:staticcheck // an empty critical section is the point
	if hook != nil && hook(w, r) {
		return
	}
	path := strings.TrimPrefix(r.URL.Path, "/v2/")
	switch {
	case path == "":
	case strings.Contains(path, "/blobs/uploads/"):
		repo, id, _ := strings.Cut(path, "/blobs/uploads/")
		f.upload(w, r, repo, id)
	case strings.Contains(path, "/blobs/"):
		repo, digest, _ := strings.Cut(path, "/blobs/")
		f.mu.Lock()
		data, ok := f.blobs[repo+"@"+digest]
		f.mu.Unlock()
		if !ok {
			refuse(w, http.StatusNotFound, "BLOB_UNKNOWN", "blob unknown")
			return
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
	case strings.Contains(path, "/manifests/"):
		repo, ref, _ := strings.Cut(path, "/manifests/")
		f.manifest(w, r, repo, ref)
	default:
		http.NotFound(w, r)
	}
}

func (f *fake) manifest(w http.ResponseWriter, r *http.Request, repo, ref string) {
	if r.Method == http.MethodPut {
		raw, _ := io.ReadAll(r.Body)
		f.mu.Lock()
		defer f.mu.Unlock()
		digest := fmt.Sprintf("sha256:%x", sha256.Sum256(raw))
		for _, key := range []string{repo + ":" + ref, repo + ":" + digest} {
			f.manifests[key], f.types[key] = raw, r.Header.Get("Content-Type")
		}
		w.Header().Set("Docker-Content-Digest", digest)
		w.WriteHeader(http.StatusCreated)
		return
	}
	f.mu.Lock()
	raw, ok := f.manifests[repo+":"+ref]
	mediaType := f.types[repo+":"+ref]
	f.mu.Unlock()
	if !ok {
		refuse(w, http.StatusNotFound, "MANIFEST_UNKNOWN", "manifest unknown")
		return
	}
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set("Docker-Content-Digest", fmt.Sprintf("sha256:%x", sha256.Sum256(raw)))
	w.Header().Set("Content-Length", fmt.Sprint(len(raw)))
	if r.Method == http.MethodGet {
		_, _ = w.Write(raw)
	}
}

func (f *fake) upload(w http.ResponseWriter, r *http.Request, repo, id string) {
	if r.Method == http.MethodPost {
		f.mu.Lock()
		defer f.mu.Unlock()
		if digest, from := r.FormValue("mount"), r.FormValue("from"); digest != "" {
			if data, ok := f.blobs[from+"@"+digest]; ok {
				f.blobs[repo+"@"+digest] = data
				w.WriteHeader(http.StatusCreated)
				return
			}
		}
		f.sequence++
		id = fmt.Sprintf("session-%d", f.sequence)
		f.sessions[id] = &fakeSession{repo: repo}
		w.Header().Set("Location", "/v2/"+repo+"/blobs/uploads/"+id+"?_state=a%2Bb")
		w.WriteHeader(cmp.Or(f.opens, http.StatusAccepted))
		return
	}
	f.mu.Lock()
	s, ok := f.sessions[id]
	f.mu.Unlock()
	if !ok {
		refuse(w, http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")
		return
	}
	if r.FormValue("_state") != "a+b" && r.Method != http.MethodGet {
		refuse(w, http.StatusBadRequest, "BLOB_UPLOAD_INVALID", "bad state")
		return
	}
	place := func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		w.Header().Set("Location", "/v2/"+repo+"/blobs/uploads/"+id+"?_state=a%2Bb")
		w.Header().Set("Range", fmt.Sprintf("0-%d", len(s.data)-1))
	}
	switch r.Method {
	case http.MethodGet:
		place()
		w.WriteHeader(http.StatusNoContent)
	case http.MethodDelete:
		f.mu.Lock()
		delete(f.sessions, id)
		f.mu.Unlock()
		w.WriteHeader(http.StatusNoContent)
	case http.MethodPatch:
		var start, end int
		f.mu.Lock()
		have := len(s.data)
		f.mu.Unlock()
		if _, err := fmt.Sscanf(r.Header.Get("Content-Range"), "%d-%d", &start, &end); err != nil || start != have {
			place()
			refuse(w, http.StatusRequestedRangeNotSatisfiable, "RANGE_INVALID", "invalid content range")
			return
		}
		f.take(r, id, s)
		place()
		w.WriteHeader(http.StatusAccepted)
	case http.MethodPut:
		if f.noPutBody && r.ContentLength > 0 {
			refuse(w, http.StatusBadRequest, "UNSUPPORTED", "send it by PATCH")
			return
		}
		f.take(r, id, s)
		f.mu.Lock()
		defer f.mu.Unlock()
		digest := r.URL.Query().Get("digest")
		if digest != fmt.Sprintf("sha256:%x", sha256.Sum256(s.data)) {
			delete(f.sessions, id)
			refuse(w, http.StatusBadRequest, "DIGEST_INVALID", "provided digest did not match uploaded content")
			return
		}
		f.blobs[repo+"@"+digest] = s.data
		delete(f.sessions, id)
		w.WriteHeader(http.StatusCreated)
	}
}

// take reads an upload's body, or breaks off.
func (f *fake) take(r *http.Request, id string, s *fakeSession) {
	limit := int64(-1)
	if f.limitBody != nil && r.ContentLength != 0 {
		limit = f.limitBody(r)
	}
	reader := io.Reader(r.Body)
	if limit >= 0 {
		reader = io.LimitReader(reader, limit)
	}
	data, err := io.ReadAll(reader)
	f.mu.Lock()
	s.data = append(s.data, data...)
	f.bodyBytes += int64(len(data))
	if (limit >= 0 || err != nil) && f.forget {
		delete(f.sessions, id)
	}
	f.mu.Unlock()
	if limit >= 0 {
		panic(http.ErrAbortHandler)
	}
}

func newClock() *clocktest.Clock {
	return clocktest.New(time.Date(2026, 11, 21, 18, 0, 0, 0, time.UTC))
}

// client returns a client of the fake's host with a clock of its own.
func (f *fake) client(change func(*Options)) (*Client, *clocktest.Clock) {
	clock := newClock()
	o := Options{Host: f.host(), Clock: clock, Proxy: func(*http.Request) (*url.URL, error) { return nil, nil }}
	if change != nil {
		change(&o)
	}
	c := New(o)
	f.t.Cleanup(c.Close)
	return c, clock
}

// nobody is an address on loopback that refuses connections. Ports that the system gives out are no
// such place once they are free: other tests get them.
const nobody = "127.0.0.1:1"

// closePatiently closes c when all uploads have been given up, however long that takes: Close waits
// for seconds, which may pass on a busy machine.
func closePatiently(c *Client) {
	for _, r := range c.repos {
		r.CancelUploads()
	}
	c.cancellations.wait(time.Hour)
	c.Close()
}

func digestText(algorithm string, raw []byte) string {
	digest, _ := digestOf(algorithm, raw)
	return digest.String()
}

type bytesContent struct {
	data  []byte
	opens atomic.Int64
}

func (b *bytesContent) Open(_ context.Context, offset int64) (io.ReadCloser, error) {
	b.opens.Add(1)
	return io.NopCloser(bytes.NewReader(b.data[offset:])), nil
}

// sum adds up what an upload told of its progress.
type sum struct{ n atomic.Int64 }

func (s *sum) Sent(n int64) { s.n.Add(n) }

func blobOf(n int) ([]byte, v1.Descriptor) {
	data := make([]byte, n)
	for i := range data {
		data[i] = byte(i*7 + i>>8)
	}
	hash, size, err := v1.SHA256(bytes.NewReader(data))
	if err != nil {
		panic(err)
	}
	return data, v1.Descriptor{Digest: hash, Size: size, MediaType: "application/vnd.oci.image.layer.v1.tar+gzip"}
}

// tokenServer is a token server for a fake: it knows one account.
type tokenServer struct {
	*httptest.Server
	user, password string
	expiresIn      any // seconds

	mu     sync.Mutex
	issued []string   // in order
	scopes [][]string // as asked for
	auths  []string   // Authorization headers
	revoke map[string]bool
}

func newTokenServer(t *testing.T, user, password string) *tokenServer {
	s := &tokenServer{user: user, password: password, revoke: map[string]bool{}}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

// realm is at localhost: another name than the registry's.
func (s *tokenServer) realm() string {
	return strings.Replace(s.URL, "127.0.0.1", "localhost", 1) + "/token"
}

func (s *tokenServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.auths = append(s.auths, r.Header.Get("Authorization"))
	user, password, ok := r.BasicAuth()
	if s.user != "" && (!ok || user != s.user || password != s.password) {
		refuse(w, http.StatusUnauthorized, "UNAUTHORIZED", "incorrect username or password")
		return
	}
	token := fmt.Sprintf("token-%d-of-%p", len(s.issued)+1, s)
	s.issued = append(s.issued, token)
	s.scopes = append(s.scopes, r.URL.Query()["scope"])
	_ = json.NewEncoder(w).Encode(map[string]any{"token": token, "expires_in": s.expiresIn})
}

func (s *tokenServer) exchanges() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.issued)
}

// guard is a hook that wants a token of the server's that is not revoked.
func (s *tokenServer) guard(w http.ResponseWriter, r *http.Request) bool {
	return s.guardAt(w, r, s.realm())
}

// guardAt is guard with another realm.
func (s *tokenServer) guardAt(w http.ResponseWriter, r *http.Request, realm string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	for _, issued := range s.issued {
		if ok && token == issued && !s.revoke[token] {
			return false
		}
	}
	w.Header().Set("WWW-Authenticate", fmt.Sprintf("Bearer realm=%q,service=%q", realm, "fake"))
	refuse(w, http.StatusUnauthorized, "UNAUTHORIZED", "authentication required")
	return true
}

func account(user, password string) func(string) authn.Authenticator {
	return func(string) authn.Authenticator {
		return authn.FromConfig(authn.AuthConfig{Username: user, Password: password})
	}
}
