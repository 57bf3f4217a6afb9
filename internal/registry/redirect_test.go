package registry

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
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
	if _, err := c.Repository("a").Upload(t.Context(), d, nil, &bytesContent{data: data}, nil, nil); err == nil {
		t.Error("uploaded")
	}
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

// What counts as the registry is what net/http dials as the registry.
func FuzzHostInARedirect(f *testing.F) {
	for _, s := range []string{
		"https://mini.test/x", "https://MINI.test:443/", "https://mİni.test/", "https://mini.test./", "https://m%C4%B0ni.test/", "//mini.test/y",
		"https://mini\u3002test/", "https://xn--mini-rwc.test/", "https://mini.test\\@evil/", "https://evil#@mini.test/", "https://mini.test:0443/",
		"https://mini.test:/", "https://mini.test:80/", "https://[mini.test]/", "/x", "https://ＭＩＮＩ.test/", "https://mini.te\u017ft/", "http://mini.test/",
	} {
		f.Add(s)
	}
	c := New(Options{Host: "mini.test"})
	c.scheme = "https"
	dialled := ""
	stop := errors.New("not dialled")
	dialler := &http.Transport{DialContext: func(_ context.Context, _, address string) (net.Conn, error) {
		dialled = address
		return nil, stop
	}}
	f.Fuzz(func(t *testing.T, location string) {
		base := c.base()
		u, err := c.target(&base, location)
		if err != nil || !c.owns(u) {
			return
		}
		dialled = ""
		_, _ = dialler.RoundTrip(&http.Request{Method: http.MethodGet, URL: u, Header: http.Header{}})
		if host, port, _ := net.SplitHostPort(dialled); dialled != "" && (!strings.EqualFold(host, "mini.test") || port != "443" && port != "0443") {
			t.Errorf("%q counts as the registry and dials %s", location, dialled)
		}
	})
}

// A 401 does not choose what a token is good for.
func TestScopesAreOurs(t *testing.T) {
	for asked, want := range map[string]string{
		"repository:a/b:pull,push":                        "repository:a/b:pull,push",
		"repository:secret/*:*":                           "",
		"registry:catalog:*":                              "",
		"repository:a/b:*":                                "",
		"repository:a/b:pull repository:secret/x:pull":    "repository:a/b:pull",
		"repository:a/b:delete,pull repository:a/bc:push": "repository:a/b:pull",
		"repository:a/b:pull,push,pull,push":              "",
		"":                                                "",
	} {
		tokens := newTokens(New(Options{Host: "registry.example"}), "a/b")
		if got := strings.Join(tokens.wanted(asked, access{write: true}), " "); got != want {
			t.Errorf("%q: asks for %q, want %q", asked, got, want)
		}
	}
	tokens := newTokens(New(Options{Host: "registry.example"}), "a/b")
	if got := strings.Join(tokens.wanted("repository:a/b:pull,push,delete", access{}), " "); got != "repository:a/b:pull" {
		t.Errorf("reading asks for %q", got)
	}
}

// A public registry stays one, whatever its name resolves to later.
func TestAPublicRegistryStaysPublic(t *testing.T) {
	w := newWire(New(Options{Host: "registry.example"}))
	for _, step := range []struct {
		address string
		private bool
	}{{"10.0.0.1:443", true}, {"93.184.216.34:443", false}, {"10.0.0.1:443", false}} {
		if err := w.learnHome("tcp", step.address, nil); err != nil {
			t.Fatal(err)
		}
		if got := w.private.Load(); got != step.private {
			t.Errorf("after %s: private is %v", step.address, got)
		}
	}
}

// Addresses in any spelling that a resolver takes are judged before a proxy is asked.
func TestAddressesInOtherSpellings(t *testing.T) {
	c := New(Options{Host: "registry.example"})
	for _, host := range []string{
		"0xa9fea9fe", "0XA9FEA9FE", "2852039166", "169.254.43518", "169.16689662", "0251.0376.0251.0376", "0xa9.254.0xa9fe", "127.1", "127.0.1",
		"2130706433", "10.1", "0x7f.1", "127.1.", "168.63.129.16", "192.0.0.192", "[fd20:ce::254]", "[::ffff:168.63.129.16]", "0",
	} {
		var unsafe *unsafeError
		if err := c.wire.checkURL(&url.URL{Scheme: "https", Host: host, Path: "/"}); !errors.As(err, &unsafe) {
			t.Errorf("%s: %v", host, err)
		}
	}
	for _, host := range []string{"0x.example", "1.2.3.4.5", "08.example", "1_0.example", "0b1.example", "a.1", "93.184.216.34", "1572395042"} {
		if err := c.wire.checkURL(&url.URL{Scheme: "https", Host: host, Path: "/"}); err != nil {
			t.Errorf("%s: %v", host, err)
		}
	}
}
