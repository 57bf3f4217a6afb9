package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// Bearer tokens as Distribution's specification of token authentication has them. They hold their
// scopes in the open: what is measured is how many requests they take.

const (
	username = "bench"
	password = "bench-password"
)

// issue answers requests for tokens, by GET and by POST.
func issue(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	token := base64.RawURLEncoding.EncodeToString([]byte(strings.Join(r.Form["scope"], " ")))
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"token": "t." + token, "access_token": "t." + token, "expires_in": 300})
}

// guarded asks for a token of the service at realm.
func guarded(realm, service string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		repository, action := "", "pull"
		if rest, ok := strings.CutPrefix(r.URL.Path, "/v2/"); ok && rest != "" {
			repository, _, _ = strings.Cut(rest, "/")
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			action = "push"
		}
		raw, found := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer t.")
		if found && holds(raw, repository, action) {
			next.ServeHTTP(w, r)
			return
		}
		challenge := fmt.Sprintf("Bearer realm=%q,service=%q", realm, service)
		if repository != "" {
			actions := map[string]string{"pull": "pull", "push": "pull,push"}[action]
			challenge += fmt.Sprintf(",scope=%q", "repository:"+repository+":"+actions)
		}
		w.Header().Set("WWW-Authenticate", challenge)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = w.Write([]byte(`{"errors":[{"code":"UNAUTHORIZED"}]}`))
	})
}

// holds reports whether a token has a scope; every token is good for no repository.
func holds(token, repository, action string) bool {
	scopes, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		return false
	}
	return repository == "" || slices.ContainsFunc(strings.Fields(string(scopes)), func(scope string) bool {
		actions, ok := strings.CutPrefix(scope, "repository:"+repository+":")
		return ok && slices.Contains(strings.Split(actions, ","), action)
	})
}
