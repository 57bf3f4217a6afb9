package leak

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// nth makes one request of all that pass through it special: the n-th, or, with onwards,
// all from there on.
type nth struct {
	n       int64
	onwards bool
	seen    atomic.Int64
	special http.Handler
	next    http.Handler
}

func (h *nth) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if i := h.seen.Add(1); i == h.n || h.onwards && i > h.n {
		h.special.ServeHTTP(w, r)
		return
	}
	h.next.ServeHTTP(w, r)
}

// brokenNetwork fails the n-th request with an error that repeats what was sent, as
// errors of proxies and middleboxes do.
type brokenNetwork struct {
	*network
	n    int64
	seen atomic.Int64
}

func (b *brokenNetwork) RoundTrip(r *http.Request) (*http.Response, error) {
	if b.seen.Add(1) == b.n {
		if r.Body != nil {
			_ = r.Body.Close()
		}
		return nil, errors.New("broken while sending " + r.URL.String() + " with " + r.Header.Get("Authorization"))
	}
	return b.network.RoundTrip(r)
}

// Whichever request of a whole run goes wrong, and however: nothing leaks, and what is
// said stays text.
func TestEveryRequestGoingWrong(t *testing.T) {
	index, err := random.Index(300, 2, 2)
	if err != nil {
		t.Fatal(err)
	}
	worlds := func(special http.Handler, n int64, onwards bool) (*network, []*nth) {
		source, destination := plainRegistry(), plainRegistry()
		push(t, source, index)
		issue := answer(200, `{"token":"`+bearer.value+`","refresh_token":"`+renewal.value+`"}`)
		hooks := []*nth{
			{n: n, onwards: onwards, special: special, next: tokenAuth("https://auth.example/token", bearer, destination)},
			{n: n, onwards: onwards, special: special, next: locked(keyFile, source)},
			{n: n, onwards: onwards, special: special, next: locked(password, issue)},
		}
		return &network{
			hosts: map[string]http.Handler{host: hooks[0], "source.example": hooks[1], "auth.example": hooks[2], other: echoing(200)},
			sees:  map[string][]canary{host: {password, bearer}, "source.example": {keyFile}, "auth.example": {password}},
		}, hooks
	}
	check := func(t *testing.T, what string, n *network, o outcome) {
		t.Helper()
		for _, l := range append(leaks(o.everything(), secrets), n.misdirected(secrets)...) {
			t.Errorf("%s: %s", what, l)
		}
		checkText(t, o)
	}
	inputs := publish(host+"/me/app:1\n"+host+"/me/app:2", item(host, password)+item("source.example", keyFile), "INPUT_REFERRERS=true")
	for kind, special := range map[string]http.Handler{
		"refused":  echoing(403),
		"unknown":  echoing(401),
		"broken":   echoing(500),
		"missing":  echoing(404),
		"nonsense": answer(200, "\x00{"+hostile, "Content-Type", "application/json", "Docker-Content-Digest", "sha256:\x1b[31m"),
		"redirected": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://"+other+r.URL.Path, http.StatusTemporaryRedirect)
		}),
		"moved": answer(202, "", "Location", "https://"+other+"/upload"),
	} {
		for _, atomically := range []string{"true", "false"} {
			if atomically == "true" && kind != "broken" {
				continue // its own requests are those of putting tags back, after a failure
			}
			every := int64(3) // what differs between these kinds shows on few requests
			if !testing.Short() && (kind == "broken" || kind == "refused") {
				every = 1
			}
			for at := int64(1); ; at += every {
				reached := false
				synctest.Test(t, func(t *testing.T) { // where what is waited for takes no time
					n, hooks := worlds(special, at, kind != "unknown" && at%2 == 0)
					o := run(t, n, true, append(inputs, "INPUT_ATOMIC="+atomically))
					check(t, fmt.Sprintf("%s, request %d, atomic %s", kind, at, atomically), n, o)
					for _, h := range hooks {
						reached = reached || h.seen.Load() >= at
					}
					if !reached && o.status != 0 {
						t.Errorf("%s: nothing went wrong, and the exit status is %d:\n%s", kind, o.status, o.stdout)
					}
				})
				if !reached {
					break
				}
				if at > 500 {
					t.Fatal("the run does not end")
				}
			}
		}
	}
	every := int64(1)
	if testing.Short() {
		every = 3
	}
	for at := int64(1); ; at += every {
		reached := false
		synctest.Test(t, func(t *testing.T) {
			n, _ := worlds(http.NotFoundHandler(), 0, false)
			b := &brokenNetwork{network: n, n: at}
			o := runOver(t, n, b, true, inputs)
			check(t, fmt.Sprintf("cut off, request %d", at), n, o)
			reached = b.seen.Load() >= at
		})
		if !reached {
			break
		}
	}
}

func push(t *testing.T, h http.Handler, index v1.ImageIndex) {
	t.Helper()
	ref, err := name.NewTag("source.example/me/app:1")
	if err != nil {
		t.Fatal(err)
	}
	over := remote.WithTransport(&network{hosts: map[string]http.Handler{"source.example": h}})
	if err := remote.WriteIndex(ref, index, over); err != nil {
		t.Fatal(err)
	}
	sum, err := index.Digest()
	if err != nil {
		t.Fatal(err)
	}
	image, err := random.Image(100, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref.Context().Tag(strings.Replace(sum.String(), ":", "-", 1)+".sig"), image, over); err != nil {
		t.Fatal(err)
	}
}
