package servers

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// Request is one request as the server saw it.
type Request struct {
	N      int // its number, from 1
	Method string
	Host   string
	Path   string
	Query  url.Values
	Header http.Header
	User   string // of basic authentication

	Status   int         // 0: not answered, the connection was dropped
	Answer   http.Header // what was answered
	BytesIn  int64       // of the body, as far as it was read
	BytesOut int64       // of the answer's body
	Done     bool        // false: still being answered
}

// exchange is a request that is being answered: what its client can know is noted before it can.
type exchange struct {
	Request
	body *countingBody
	out  *countingWriter
}

// String returns the request as one line.
func (r Request) String() string {
	s := fmt.Sprintf("%3d %-6s %s", r.N, r.Method, r.Path)
	if len(r.Query) > 0 {
		s += "?" + r.Query.Encode()
	}
	return fmt.Sprintf("%s → %d (in %d, out %d)", s, r.Status, r.BytesIn, r.BytesOut)
}

// Log holds the requests of one server. It is safe for concurrent use.
type Log struct {
	mu       sync.Mutex
	settled  sync.Cond
	requests []*exchange
	open     int
	forget   func() // what else a Reset forgets
}

func newLog() *Log {
	l := &Log{}
	l.settled.L = &l.mu
	return l
}

// Handler logs what next is asked and answers.
func (l *Log) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		entry := l.begin(w, r)
		r = r.WithContext(r.Context())
		r.Body = entry.body
		defer func() {
			dropped := recover()
			l.end(entry, dropped != nil)
			if dropped != nil {
				panic(dropped)
			}
		}()
		next.ServeHTTP(entry.out, r)
	})
}

func (l *Log) begin(w http.ResponseWriter, r *http.Request) *exchange {
	user, _, _ := r.BasicAuth()
	l.mu.Lock()
	defer l.mu.Unlock()
	entry := &exchange{Request: Request{
		N: len(l.requests) + 1, Method: r.Method, Host: r.Host, Path: r.URL.Path,
		Query: r.URL.Query(), Header: r.Header.Clone(), User: user,
	}, body: &countingBody{ReadCloser: r.Body}, out: newCountingWriter(w)}
	l.requests = append(l.requests, entry)
	l.open++
	return entry
}

func (l *Log) end(entry *exchange, dropped bool) {
	if dropped {
		entry.out.note(0)
	} else {
		entry.out.note(http.StatusOK)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	entry.Done = true
	l.open--
	l.settled.Broadcast()
}

// All returns the requests so far, those still being answered included.
func (l *Log) All() []Request {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.copy()
}

// Settled waits until no request is being answered and returns all of them. Use it where
// a client does not wait for every answer, or where it matters what was sent of a broken one.
func (l *Log) Settled() []Request {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.open > 0 {
		l.settled.Wait()
	}
	return l.copy()
}

func (l *Log) copy() []Request {
	out := make([]Request, len(l.requests))
	for i, e := range l.requests {
		out[i] = e.Request
		out[i].BytesIn = e.body.count()
		out[i].Status, out[i].Answer, out[i].BytesOut = e.out.noted()
	}
	return out
}

// Reset forgets the requests so far. Call it when none is being answered.
func (l *Log) Reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.open > 0 {
		l.settled.Wait()
	}
	l.requests = nil
	if l.forget != nil {
		l.forget()
	}
}

// Find returns the requests with this method ("" is any; "GET|HEAD" is either) whose path
// matches the pattern, a regular expression anchored at neither end.
func (l *Log) Find(method, pattern string) []Request {
	re := regexp.MustCompile(pattern)
	return slices.DeleteFunc(l.All(), func(r Request) bool {
		return !methodIs(method, r.Method) || !re.MatchString(r.Path)
	})
}

// Count returns how many requests Find finds.
func (l *Log) Count(method, pattern string) int { return len(l.Find(method, pattern)) }

// Paths of the registry API.
const (
	ManifestPath = `^/v2/.+/manifests/[^/]+$`
	BlobPath     = `^/v2/.+/blobs/[a-z0-9]+:[0-9a-f]+$`
	UploadPath   = `^/v2/.+/blobs/uploads/`
)

var kinds = []struct {
	path *regexp.Regexp
	name string
}{
	{regexp.MustCompile(`/auth/`), "token"},
	{regexp.MustCompile(UploadPath), "upload"},
	{regexp.MustCompile(BlobPath), "blob"},
	{regexp.MustCompile(`/manifests/[a-z0-9]+:[0-9a-f]+$`), "manifest"},
	{regexp.MustCompile(`/manifests/sha256-`), "tag of referrers"},
	{regexp.MustCompile(`/manifests/`), "tag"},
	{regexp.MustCompile(`/referrers/`), "referrers"},
	{regexp.MustCompile(`^/v2/$`), "ping"},
}

// Kind names what a request is, by method and kind of path: "PUT manifest", "HEAD tag", "POST
// mount". With how manieth of its kind it is, that names a request of a run whose requests
// overlap.
func Kind(r *http.Request) string {
	if r.Method == http.MethodPost && r.URL.Query().Has("mount") {
		return "POST mount"
	}
	for _, k := range kinds {
		if k.path.MatchString(r.URL.Path) {
			return r.Method + " " + k.name
		}
	}
	return r.Method + " other"
}

// Kinds counts the requests so far by Kind.
func (l *Log) Kinds() map[string]int {
	counts := map[string]int{}
	for _, r := range l.Settled() {
		counts[Kind(&http.Request{Method: r.Method, URL: &url.URL{Path: r.Path, RawQuery: r.Query.Encode()}})]++
	}
	return counts
}

// BlobGets returns how often each blob was asked for with GET and answered with 200 or 206.
func (l *Log) BlobGets() map[string]int {
	gets := map[string]int{}
	re := regexp.MustCompile(BlobPath)
	for _, r := range l.Settled() {
		if r.Method == http.MethodGet && re.MatchString(r.Path) && (r.Status == 200 || r.Status == 206) {
			gets[r.Path[strings.LastIndexByte(r.Path, '/')+1:]]++
		}
	}
	return gets
}

// Writes returns the requests that are not plain reads.
func (l *Log) Writes() []Request {
	return slices.DeleteFunc(l.All(), func(r Request) bool {
		return r.Method == http.MethodGet || r.Method == http.MethodHead
	})
}

// String returns the log, a line a request.
func (l *Log) String() string {
	var b strings.Builder
	for _, r := range l.All() {
		fmt.Fprintln(&b, r)
	}
	return b.String()
}

func methodIs(want, got string) bool {
	return want == "" || slices.Contains(strings.Split(want, "|"), got)
}

type countingBody struct {
	io.ReadCloser
	mu sync.Mutex
	n  int64
}

func (b *countingBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.mu.Lock()
	b.n += int64(n)
	b.mu.Unlock()
	return n, err
}

// count is locked: a proxy may still be reading the body when its handler returns.
func (b *countingBody) count() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.n
}

// countingWriter keeps an answer's status and header, and counts its bytes, before the client can
// know them.
type countingWriter struct {
	telling
	mu     sync.Mutex
	status int
	answer http.Header
	n      int64
}

func newCountingWriter(w http.ResponseWriter) *countingWriter {
	c := &countingWriter{telling: telling{ResponseWriter: w}}
	c.tell = func(status int) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.status, c.answer = status, w.Header().Clone()
	}
	return c
}

func (w *countingWriter) noted() (status int, answer http.Header, n int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.status, w.answer, w.n
}

func (w *countingWriter) Write(p []byte) (int, error) {
	w.count(len(p))
	n, err := w.telling.Write(p)
	w.count(n - len(p))
	return n, err
}

func (w *countingWriter) count(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.n += int64(n)
}
