package servers

import (
	"context"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Forever is a Count without end.
const Forever = -1

// Fault makes requests fail. The zero value answers the first request with 500.
type Fault struct {
	// Match chooses among requests; nil is all of them. See Matching.
	Match func(*http.Request) bool
	// Nth is the first of the matching requests, from when the fault was added, to be
	// hit; 0 and 1 are the next one.
	Nth int
	// Count is how many are hit from there on; 0 is one.
	Count int
	// Same narrows what follows the Nth request to those with its method, path and query:
	// that one request fails again and again (with Count Forever), all others pass.
	Same bool

	// What happens: Wait first, then the first of these that is set, else Status 500.
	Status      int         // is answered in place of the registry's answer
	Header      http.Header // goes with Status
	Body        string      // goes with Status
	Drop        bool        // the connection is dropped before the registry sees the request
	DropAnswer  bool        // the registry does it, but the connection is dropped in place of the answer
	DropBody    int64       // the connection is dropped after this many bytes of the request's body
	CutAnswer   int64       // the connection is dropped after this many bytes of the answer's body
	CorruptByte int64       // this byte (from 1) of the answer's body is changed
	Pass        bool        // nothing more happens: the request passes (after Wait)

	// Wait delays the request until the channel is closed, or its client is gone.
	Wait <-chan struct{}
	// Reached is called when the fault hits, before it waits.
	Reached func(*http.Request)
}

// Faults is the hook of one server. It is safe for concurrent use.
type Faults struct {
	mu    sync.Mutex
	armed []*Armed
	seen  int
}

// Armed is a fault that was added.
type Armed struct {
	fault   Fault
	faults  *Faults
	matched int
	hits    int
	same    string
}

// Hits returns how many requests the fault has hit.
func (a *Armed) Hits() int {
	a.faults.mu.Lock()
	defer a.faults.mu.Unlock()
	return a.hits
}

// Add arms a fault. The first armed fault that a request fits takes it.
func (f *Faults) Add(fault Fault) *Armed {
	f.mu.Lock()
	defer f.mu.Unlock()
	a := &Armed{fault: fault, faults: f}
	f.armed = append(f.armed, a)
	return a
}

// Clear disarms all faults.
func (f *Faults) Clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.armed = nil
}

// Seen returns how many requests have come so far.
func (f *Faults) Seen() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.seen
}

// Matching chooses requests with this method ("" is any, "GET|HEAD" is either) whose path
// matches the pattern.
func Matching(method, pattern string) func(*http.Request) bool {
	re := regexp.MustCompile(pattern)
	return func(r *http.Request) bool { return methodIs(method, r.Method) && re.MatchString(r.URL.Path) }
}

// Limit answers more than n requests in any window with 429 and a Retry-After, for requests that
// match chooses (nil: all), as registries with a rate limit do.
func (f *Faults) Limit(match func(*http.Request) bool, n int, window time.Duration, now func() time.Time) *Armed {
	var mu sync.Mutex
	var times []time.Time
	full := func(r *http.Request) bool {
		if match != nil && !match(r) {
			return false
		}
		mu.Lock()
		defer mu.Unlock()
		at := now()
		times = slices.DeleteFunc(times, func(t time.Time) bool { return at.Sub(t) >= window })
		if len(times) >= n {
			return true
		}
		times = append(times, at)
		return false
	}
	seconds := int((window + time.Second - 1) / time.Second)
	return f.Add(Fault{Match: full, Count: Forever, Status: http.StatusTooManyRequests,
		Header: http.Header{"Retry-After": {strconv.Itoa(seconds)}, "Content-Type": {"text/plain"}}, Body: "Too Many Requests\n"})
}

func (f *Faults) take(r *http.Request) *Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seen++
	for _, a := range f.armed {
		if a.hit(r) {
			fault := a.fault
			return &fault
		}
	}
	return nil
}

func (a *Armed) hit(r *http.Request) bool {
	count := a.fault.Count
	if count == 0 {
		count = 1
	}
	if count != Forever && a.hits >= count || a.fault.Match != nil && !a.fault.Match(r) {
		return false
	}
	a.matched++
	if a.matched < a.fault.Nth {
		return false
	}
	if a.fault.Same {
		key := r.Method + " " + r.URL.RequestURI()
		if a.same == "" {
			a.same = key
		}
		if a.same != key {
			return false
		}
	}
	a.hits++
	return true
}

// Handler puts the hook before next.
func (f *Faults) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if fault := f.take(r); fault != nil {
			fault.serve(w, r, next)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (f *Fault) serve(w http.ResponseWriter, r *http.Request, next http.Handler) {
	if f.Reached != nil {
		f.Reached(r)
	}
	if f.Wait != nil {
		select {
		case <-f.Wait:
		case <-r.Context().Done():
			panic(http.ErrAbortHandler)
		}
	}
	switch {
	case f.Drop:
		panic(http.ErrAbortHandler)
	case f.DropAnswer:
		next.ServeHTTP(&deafWriter{header: http.Header{}}, r)
		panic(http.ErrAbortHandler)
	case f.DropBody > 0:
		// The registry keeps what it read, as after a broken connection.
		ctx, gone := context.WithCancel(r.Context())
		defer gone()
		r = r.WithContext(ctx)
		r.Body = &brokenBody{ReadCloser: r.Body, left: f.DropBody, gone: gone}
		next.ServeHTTP(&deafWriter{header: http.Header{}}, r)
		panic(http.ErrAbortHandler)
	case f.CutAnswer > 0:
		next.ServeHTTP(&cutWriter{ResponseWriter: w, left: f.CutAnswer}, r)
	case f.CorruptByte > 0:
		next.ServeHTTP(&corruptWriter{ResponseWriter: w, at: f.CorruptByte - 1}, r)
	case f.Pass && f.Status == 0:
		next.ServeHTTP(w, r)
	default:
		for k, v := range f.Header {
			w.Header()[k] = v
		}
		status := f.Status
		if status == 0 {
			status = http.StatusInternalServerError
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, f.Body)
	}
}

type brokenBody struct {
	io.ReadCloser
	left int64
	gone func()
}

func (b *brokenBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		b.gone()
		return 0, io.ErrUnexpectedEOF
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

// deafWriter is an answer that nobody gets.
type deafWriter struct{ header http.Header }

func (w *deafWriter) Header() http.Header         { return w.header }
func (w *deafWriter) Write(p []byte) (int, error) { return len(p), nil }
func (w *deafWriter) WriteHeader(int)             {}

type cutWriter struct {
	http.ResponseWriter
	left int64
}

func (w *cutWriter) Write(p []byte) (int, error) {
	if int64(len(p)) < w.left {
		n, err := w.ResponseWriter.Write(p)
		w.left -= int64(n)
		return n, err
	}
	_, _ = w.ResponseWriter.Write(p[:w.left])
	_ = http.NewResponseController(w.ResponseWriter).Flush()
	panic(http.ErrAbortHandler)
}

func (w *cutWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

type corruptWriter struct {
	http.ResponseWriter
	at int64
}

func (w *corruptWriter) Write(p []byte) (int, error) {
	if w.at >= 0 && w.at < int64(len(p)) {
		p = slices.Clone(p)
		p[w.at] ^= 0xff
	}
	n, err := w.ResponseWriter.Write(p)
	w.at -= int64(n)
	return n, err
}

func (w *corruptWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
