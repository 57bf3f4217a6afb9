package transport

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

func TestAddresses(t *testing.T) {
	for address, want := range map[string]string{ // what a public registry, and one on a private network, may name
		"93.184.216.34":            "public private",
		"2606:2800:220:1::1":       "public private",
		"10.1.2.3":                 "private",
		"172.16.0.1":               "private",
		"192.168.1.1":              "private",
		"127.0.0.1":                "private",
		"127.9.9.9":                "private",
		"100.64.0.1":               "private",
		"::1":                      "private",
		"fd12:3456::1":             "private",
		"::ffff:10.0.0.1":          "private",
		"64:ff9b::10.0.0.1":        "private",
		"2002:0a00:0001::":         "private",
		"169.254.169.254":          "",
		"::ffff:169.254.169.254":   "",
		"64:ff9b::169.254.169.254": "",
		"fe80::1":                  "",
		"fd00:ec2::254":            "",
		"100.100.100.200":          "",
		"0.0.0.0":                  "",
		"0.1.2.3":                  "",
		"::":                       "",
		"224.0.0.1":                "",
		"255.255.255.255":          "",
	} {
		ip := net.ParseIP(address)
		if ip == nil {
			t.Fatal(address)
		}
		var got []string
		for _, kind := range []string{"public", "private"} {
			h := &Host{}
			h.private.Store(kind == "private")
			if h.checkIP(ip) == nil {
				got = append(got, kind)
			}
			if err := h.checkAway("tcp", net.JoinHostPort(address, "443"), nil); (err == nil) != (h.checkIP(ip) == nil) {
				t.Errorf("%s: dialling says %v", address, err)
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s may be named by %v, want %q", address, got, want)
		}
	}
}

func TestURLsFromAPublicRegistry(t *testing.T) {
	for _, from := range []struct {
		o    Options
		safe string
		bad  string
	}{
		{Options{Host: "registry.example"},
			"https://storage.example/x https://93.184.216.34/x",
			"http://storage.example/x http://registry.example:80x/ ftp://storage.example/ file:///etc/passwd https://10.0.0.1/ https://localhost/x https://169.254.169.254/latest https://[fe80::1%25eth0]/ https:///x gopher://x"},
		{Options{Host: "registry.example", Insecure: true}, "http://storage.example/x https://storage.example/x", "https://10.0.0.1/ http://169.254.169.254/"},
		{Options{Host: "localhost:5000"}, "http://localhost:5001/x http://127.0.0.1:9000/x https://storage.example/x", "http://storage.example/x http://169.254.169.254/ http://10.0.0.1/"},
	} {
		h := New(from.o)
		h.scheme = "https"
		if from.o.Host == "localhost:5000" {
			h.scheme = "http"
		}
		base := h.Base()
		for _, location := range strings.Fields(from.safe) {
			if _, err := h.Target(&base, location); err != nil {
				t.Errorf("%s names %s: %v", from.o.Host, location, err)
			}
		}
		for _, location := range strings.Fields(from.bad) {
			var unsafe *UnsafeError
			if u, err := h.Target(&base, location); !errors.As(err, &unsafe) {
				t.Errorf("%s names %s: taken as %v", from.o.Host, location, u)
			}
		}
		h.Close()
	}
	// A registry behind a proxy that ends TLS calls itself http://.
	h := New(Options{Host: "registry.example"})
	h.scheme = "https"
	base := h.Base()
	if u, err := h.Target(&base, "http://registry.example/v2/x?_state=1"); err != nil || u.String() != "https://registry.example/v2/x?_state=1" {
		t.Errorf("%v, %v", u, err)
	}
	hub := New(Options{Host: "docker.io"})
	hub.scheme = "https"
	base = hub.Base()
	if u, err := hub.Target(&base, "https://registry-1.docker.io/v2/x"); err != nil || !hub.Owns(u) {
		t.Errorf("Docker Hub by another of its names: %v, %v", u, err)
	}
}

// What a name resolves to is judged when it is dialled.
func TestDiallingElsewhere(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	h := New(Options{Host: "registry.example"})
	defer h.Close()
	dial := h.pools.foreign.(*http.Transport).DialContext
	conn, err := dial(t.Context(), "tcp", net.JoinHostPort("localhost", port))
	var unsafe *UnsafeError
	if !errors.As(err, &unsafe) {
		t.Errorf("a public registry sends us to this machine: %v", err)
		_ = conn.Close()
	}
	h.private.Store(true)
	conn, err = dial(t.Context(), "tcp", net.JoinHostPort("localhost", port))
	if err != nil {
		t.Fatalf("a registry on a private network: %v", err)
	}
	_ = conn.Close()
}

// A public registry stays one, whatever its name resolves to later.
func TestAPublicRegistryStaysPublic(t *testing.T) {
	h := New(Options{Host: "registry.example"})
	for _, step := range []struct {
		address string
		private bool
	}{{"10.0.0.1:443", true}, {"93.184.216.34:443", false}, {"10.0.0.1:443", false}} {
		if err := h.learnHome("tcp", step.address, nil); err != nil {
			t.Fatal(err)
		}
		if got := h.private.Load(); got != step.private {
			t.Errorf("after %s: private is %v", step.address, got)
		}
	}
}

// Addresses in any spelling that a resolver takes are judged before a proxy is asked.
func TestAddressesInOtherSpellings(t *testing.T) {
	h := New(Options{Host: "registry.example"})
	for _, host := range []string{
		"0xa9fea9fe", "0XA9FEA9FE", "2852039166", "169.254.43518", "169.16689662", "0251.0376.0251.0376", "0xa9.254.0xa9fe", "127.1", "127.0.1",
		"2130706433", "10.1", "0x7f.1", "127.1.", "168.63.129.16", "192.0.0.192", "[fd20:ce::254]", "[::ffff:168.63.129.16]", "0",
	} {
		var unsafe *UnsafeError
		if err := h.CheckURL(&url.URL{Scheme: "https", Host: host, Path: "/"}); !errors.As(err, &unsafe) {
			t.Errorf("%s: %v", host, err)
		}
	}
	for _, host := range []string{"0x.example", "1.2.3.4.5", "08.example", "1_0.example", "0b1.example", "a.1", "93.184.216.34", "1572395042"} {
		if err := h.CheckURL(&url.URL{Scheme: "https", Host: host, Path: "/"}); err != nil {
			t.Errorf("%s: %v", host, err)
		}
	}
}

// Letters that become ASCII ones in small letters make no host the registry's, on no port and
// by no scheme.
func TestNamesThatLookAlike(t *testing.T) {
	h := New(Options{Host: "desk.test"})
	h.scheme = "https"
	base := h.Base()
	for _, location := range []string{
		"http://des\u212a.test/x", "http://de\u017fk.test:80/x", "https://de\u017fk.test/x", "http://de\u017fk.test:8080/x", "https://des\u212a.test:8443/x",
	} {
		var unsafe *UnsafeError
		if u, err := h.Target(&base, location); !errors.As(err, &unsafe) {
			t.Errorf("%s: %v, %v", location, u, err)
		}
		if u, err := url.Parse(location); err != nil || SameName(u, &base) || len(h.Addresses(u)) != 1 {
			t.Errorf("%s counts as the registry's (%v)", location, err)
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
	h := New(Options{Host: "mini.test"})
	h.scheme = "https"
	dialled := ""
	stop := errors.New("not dialled")
	dialler := &http.Transport{DialContext: func(_ context.Context, _, address string) (net.Conn, error) {
		dialled = address
		return nil, stop
	}}
	f.Fuzz(func(t *testing.T, location string) {
		base := h.Base()
		u, err := h.Target(&base, location)
		if err != nil || !h.Owns(u) {
			return
		}
		dialled = ""
		_, _ = dialler.RoundTrip(&http.Request{Method: http.MethodGet, URL: u, Header: http.Header{}})
		if host, port, _ := net.SplitHostPort(dialled); dialled != "" && (!strings.EqualFold(host, "mini.test") || port != "443" && port != "0443") {
			t.Errorf("%q counts as the registry and dials %s", location, dialled)
		}
	})
}
