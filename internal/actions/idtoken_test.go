package actions

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/multi-registry-push/multi-registry-push/internal/redact"
)

// minting returns a runner whose OIDC endpoint is answer.
func minting(t *testing.T, answer http.HandlerFunc) (*Runner, *[]string) {
	t.Helper()
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	var learned []string
	r := New(Options{
		Environ: []string{"ACTIONS_ID_TOKEN_REQUEST_URL=" + server.URL + "/token?api-version=2", "ACTIONS_ID_TOKEN_REQUEST_TOKEN=request-token"},
		Clean:   func(text string) string { return strings.ReplaceAll(text, "request-token", "***") },
		Learn:   func(_ string, s redact.Text) { learned = append(learned, s.Reveal()) },
	})
	return r, &learned
}

func TestIDToken(t *testing.T) {
	r, learned := minting(t, func(w http.ResponseWriter, q *http.Request) {
		if q.Header.Get("Authorization") != "Bearer request-token" || q.URL.Query().Get("audience") != "sts.example" || q.URL.Query().Get("api-version") != "2" {
			w.WriteHeader(http.StatusForbidden)
		}
		_, _ = w.Write([]byte(`{"count":1,"value":"eyJ.e30.c2ln\n"}`))
	})
	token, err := r.IDToken(t.Context(), "sts.example")
	if err != nil || token.Reveal() != "eyJ.e30.c2ln" || len(*learned) != 1 || (*learned)[0] != "eyJ.e30.c2ln" {
		t.Errorf("%q, %v, learned %q", token.Reveal(), err, *learned)
	}
}

func TestIDTokenNeedsPermission(t *testing.T) {
	for _, environ := range [][]string{nil, {"ACTIONS_ID_TOKEN_REQUEST_URL=https://x.example"}, {"ACTIONS_ID_TOKEN_REQUEST_TOKEN=x"}} {
		r, _ := testRunner(environ...)
		if _, err := r.IDToken(t.Context(), "x"); !errors.Is(err, ErrNoIDToken) {
			t.Errorf("%q: %v", environ, err)
		}
	}
}

// The library takes an empty token, and one that would end a header.
func TestWhatIsNoIDToken(t *testing.T) {
	for _, body := range []string{`{}`, `{"value":""}`, `{"value":"  "}`, `{"value":"a\r\nX-Evil: b"}`, `{"value":"a b"}`} {
		r, learned := minting(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(body)) })
		if _, err := r.IDToken(t.Context(), "x"); !errors.Is(err, ErrInvalidIDToken) || len(*learned) > 0 {
			t.Errorf("%s: %v", body, err)
		}
	}
}

// The library repeats up to 64 kB of a refusal, and whatever else goes wrong as it is.
func TestErrorsOfIDTokenAreCleaned(t *testing.T) {
	long := strings.Repeat("é", 40000)
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		says   string
	}{
		"refused": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusForbidden)
			_, _ = w.Write([]byte("no request-token\n::error::x " + long))
		}, "answered 403 Forbidden: no *** ::error::x é"},
		"refused in JSON": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusForbidden)
			_, _ = w.Write([]byte(`{"message":"no request-token","more":"x"}`))
		}, "answered 403 Forbidden: no ***"},
		"nonsense": {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`request-token`)) }, "not the JSON"},
		"redirect": {func(w http.ResponseWriter, q *http.Request) {
			if q.URL.Path != "/token" {
				t.Error("the redirect is followed")
			}
			http.Redirect(w, q, "/other", http.StatusTemporaryRedirect)
		}, "answered 307"},
	} {
		r, _ := minting(t, c.answer)
		_, err := r.WithClient(&http.Client{}).IDToken(t.Context(), "x")
		if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "request-token") || strings.Contains(err.Error(), "\n") || len(err.Error()) > 2*longestRefusal {
			t.Errorf("%s: %.400v", name, err)
		}
	}
	r, _ := testRunner("ACTIONS_ID_TOKEN_REQUEST_URL=\x7f:request-token", "ACTIONS_ID_TOKEN_REQUEST_TOKEN=x")
	if _, err := r.IDToken(t.Context(), "x"); err == nil || strings.Contains(err.Error(), "request-token") {
		t.Error(err)
	}
	r, _ = testRunner("ACTIONS_ID_TOKEN_REQUEST_URL=http://127.0.0.1:1/request-token", "ACTIONS_ID_TOKEN_REQUEST_TOKEN=x")
	if _, err := r.IDToken(t.Context(), "x"); err == nil || strings.Contains(err.Error(), "request-token") {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.IDToken(ctx, "x"); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
