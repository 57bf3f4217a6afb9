package registry

import (
	"net/http"
	"strings"
	"sync"
	"testing"
)

// answers is a network that answers each request by host and path, and keeps who saw an
// Authorization header.
type answers struct {
	mu     sync.Mutex
	answer func(req *http.Request) *http.Response
	seen   []string
	told   []string // hosts that saw credentials
}

func (a *answers) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body != nil {
		_ = req.Body.Close()
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.seen = append(a.seen, req.Method+" "+req.URL.Host+req.URL.Path)
	if req.Header.Get("Authorization") != "" {
		a.told = append(a.told, req.Method+" "+req.URL.Host+req.URL.Path)
	}
	resp := a.answer(req)
	resp.Request, resp.Body = req, http.NoBody
	return resp, nil
}

func answerWith(status int, header ...string) *http.Response {
	h := http.Header{}
	for i := 0; i+1 < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	return &http.Response{StatusCode: status, Header: h, ProtoMajor: 2}
}

// A host that looks like the registry's is another host: net/http dials
// xn--mini-rwc.test for it. Nor is anything the registry's own that another host named.
func TestNobodyElseGetsThePassword(t *testing.T) {
	const storage = "https://storage.example/blob"
	for name, hops := range map[string]map[string]string{ // host and path → Location
		"U+0130 by way of storage": {"mini.test/v2/a/": storage, "storage.example/": "https://mİni.test/stolen"},
		"U+0130 at once":           {"mini.test/v2/a/": "https://mİni.test/stolen"},
		"in percent":               {"mini.test/v2/a/": "https://m%C4%B0ni.test/stolen"},
		"full width":               {"mini.test/v2/a/": "https://ｍini.test/stolen"},
		"soft hyphen":              {"mini.test/v2/a/": "https://mi\u00adni.test/stolen"},
		"back from storage":        {"mini.test/v2/a/": storage, "storage.example/": "https://mini.test/v2/secret/stolen"},
	} {
		t.Run(name, func(t *testing.T) {
			net := &answers{}
			net.answer = func(req *http.Request) *http.Response {
				if req.URL.Path == "/v2/" || req.URL.Host == "mini.test" && !strings.Contains(req.URL.Path, "stolen") && req.Header.Get("Authorization") == "" {
					return answerWith(http.StatusUnauthorized, "WWW-Authenticate", `Basic realm="x"`)
				}
				for from, to := range hops {
					if strings.HasPrefix(req.URL.Host+req.URL.Path, from) {
						return answerWith(http.StatusTemporaryRedirect, "Location", to)
					}
				}
				return answerWith(http.StatusUnauthorized, "WWW-Authenticate", `Basic realm="x"`)
			}
			c := New(Options{Host: "mini.test", Base: net, Clock: newClock(), Auth: account("acme", "hunter22")})
			_, d := blobOf(10)
			if _, err := c.Repository("a").OpenBlob(t.Context(), d, 0); err == nil {
				t.Error("a blob out of nowhere")
			}
			for _, host := range net.told {
				if !strings.HasPrefix(host, "GET mini.test/v2/a/") {
					t.Errorf("credentials went to %s", host)
				}
			}
			if len(net.told) == 0 {
				t.Error("the registry itself got none: the test shows nothing")
			}
		})
	}
}

// An upload that another host took up does not come back with our credentials: that
// host would choose what we write where.
func TestAnUploadElsewhereDoesNotComeBack(t *testing.T) {
	net := &answers{}
	net.answer = func(req *http.Request) *http.Response {
		switch {
		case req.URL.Path == "/v2/", req.Header.Get("Authorization") == "" && strings.HasPrefix(req.URL.Path, "/v2/a/"):
			return answerWith(http.StatusUnauthorized, "WWW-Authenticate", `Basic realm="x"`)
		case req.Method == http.MethodPost:
			return answerWith(http.StatusAccepted, "Location", "https://storage.example/upload")
		case req.URL.Host == "storage.example" && req.Method == http.MethodPut:
			return answerWith(http.StatusMethodNotAllowed)
		case req.URL.Host == "storage.example":
			return answerWith(http.StatusAccepted, "Location", "https://mini.test/v2/secret/blobs/uploads/1", "Range", "0-9")
		}
		return answerWith(http.StatusUnauthorized, "WWW-Authenticate", `Basic realm="x"`)
	}
	c := New(Options{Host: "mini.test", Base: net, Clock: newClock(), Auth: account("acme", "hunter22")})
	data, d := blobOf(10)
	if _, err := c.Repository("a").Upload(t.Context(), d, nil, &bytesContent{data: data}, nil); err == nil {
		t.Error("uploaded")
	}
	closePatiently(c) // waits for the upload that is given up
	net.mu.Lock()
	defer net.mu.Unlock()
	back := 0
	for _, request := range net.seen {
		if strings.Contains(request, "mini.test/v2/secret") {
			back++
		}
	}
	if back == 0 {
		t.Error("nobody went where the other host sent us: the test shows nothing")
	}
	for _, request := range net.told {
		if strings.Contains(request, "secret") || strings.Contains(request, "storage") {
			t.Errorf("credentials went with %s", request)
		}
	}
}
