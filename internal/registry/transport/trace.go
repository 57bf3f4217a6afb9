package transport

import (
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// Trace is one request, told when it has ended: its answer's body was closed, or none
// came. Names in it are the registry's, nothing in it is a secret.
type Trace struct {
	Registry string // as people write it
	Host     string // asked, with its port where one was named: another one after a redirect
	Method   string
	Kind     Kind
	Status   int // 0: no answer
	Start    time.Time
	Duration time.Duration // until the answer had been read
	Sent     int64         // bytes of the body
	Received int64         // bytes of the answer's body
	Err      error         // why there was no answer, or only a part of it
}

// Kind is what a request is for, by its path.
type Kind string

// The kinds of requests.
const (
	KindProbe     Kind = "probe" // GET /v2/
	KindToken     Kind = "token"
	KindManifest  Kind = "manifest"
	KindBlob      Kind = "blob"
	KindUpload    Kind = "upload"
	KindReferrers Kind = "referrers"
	KindTags      Kind = "tags"
	KindOther     Kind = "other" // such as a storage's
)

// kindOf tells the kind of a registry's request by its path (distribution spec,
// "Endpoints").
func kindOf(path string) Kind {
	rest, ok := strings.CutPrefix(path, "/v2/")
	switch {
	case !ok:
		return KindOther
	case rest == "":
		return KindProbe
	case strings.Contains(rest, "/blobs/uploads/"):
		return KindUpload
	case strings.Contains(rest, "/blobs/"):
		return KindBlob
	case strings.Contains(rest, "/manifests/"):
		return KindManifest
	case strings.Contains(rest, "/referrers/"):
		return KindReferrers
	case strings.HasSuffix(rest, "/tags/list"):
		return KindTags
	}
	return KindOther
}

// tracing is a request on its way to becoming a Trace.
type tracing struct {
	Trace
	h              *Host
	sent, received atomic.Int64
	ended          atomic.Bool
}

// trace begins a trace, nil if nobody wants any.
func (h *Host) trace(req *http.Request, kind Kind) *tracing {
	if h.o.Trace == nil {
		return nil
	}
	if kind == "" {
		kind = kindOf(req.URL.Path)
	}
	t := &tracing{h: h}
	t.Trace = Trace{Registry: h.o.Host, Host: h.Redact(req.URL.Host), Method: req.Method, Kind: kind,
		Start: h.o.Clock.Now()}
	return t
}

func (t *tracing) addSent(n int64) {
	if t != nil {
		t.sent.Add(n)
	}
}

func (t *tracing) addReceived(n int64) {
	if t != nil {
		t.received.Add(n)
	}
}

func (t *tracing) answered(status int) {
	if t != nil {
		t.Status = status
	}
}

// end tells the trace, once.
func (t *tracing) end(err error) {
	if t == nil || t.ended.Swap(true) {
		return
	}
	t.Duration = t.h.o.Clock.Now().Sub(t.Start)
	t.Sent, t.Received, t.Err = t.sent.Load(), t.received.Load(), err
	t.h.o.Trace(t.Trace)
}
