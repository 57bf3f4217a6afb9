package servers

import (
	"crypto/subtle"
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// Authenticate puts the server's kind of authentication before a registry that has none.
func (s *Server) Authenticate(next http.Handler) http.Handler {
	switch s.options.Auth {
	case Token:
		return s.Tokens.authenticate(next)
	case Basic:
		return basic(s.Users, next)
	}
	return next
}

// basic refuses requests without a known user and password. What the user may do is
// permit's to decide.
func basic(users []User, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, ok := known(users, r); !ok {
			w.Header().Set("WWW-Authenticate", `Basic realm="test registry"`)
			refuse(w, http.StatusUnauthorized, "UNAUTHORIZED", "authentication required")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// permit refuses known users what they have no grant for, which basic authentication of
// registries does not do by itself. It leaves the unknown to the registry.
func permit(users []User, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		repository, action := access(r)
		if user, ok := known(users, r); ok && repository != "" && !user.May(repository, action) {
			refuse(w, http.StatusForbidden, "DENIED", "requested access to the resource is denied")
			return
		}
		next.ServeHTTP(w, r)
	})
}

func known(users []User, r *http.Request) (User, bool) {
	name, password, ok := r.BasicAuth()
	if !ok {
		return User{}, false
	}
	i := slices.IndexFunc(users, func(u User) bool {
		return u.Name == name && subtle.ConstantTimeCompare([]byte(u.Password), []byte(password)) == 1
	})
	if i < 0 {
		return User{}, false
	}
	return users[i], true
}

var resource = regexp.MustCompile(`^/v2/(.+?)/(?:manifests|blobs|referrers|tags)/`)

// access returns what a request of the registry API needs, "" for the ping.
func access(r *http.Request) (repository, action string) {
	m := resource.FindStringSubmatch(r.URL.Path)
	if m == nil {
		return "", ""
	}
	switch {
	case r.Method == http.MethodGet || r.Method == http.MethodHead:
		action = "pull"
	case r.Method == http.MethodDelete && !strings.Contains(r.URL.Path, "/blobs/uploads/"):
		action = "delete"
	default:
		action = "push"
	}
	return m[1], action
}

// spent takes the token off requests that come with one that was used often enough. The
// registry then asks for a new one, as for a token that has expired.
func spent(uses int, next http.Handler) http.Handler {
	var mu sync.Mutex
	used := map[string]int{}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if token, ok := bearer(r); ok {
			mu.Lock()
			used[token]++
			over := used[token] > uses
			mu.Unlock()
			if over {
				r.Header.Del("Authorization")
			}
		}
		next.ServeHTTP(w, r)
	})
}

func bearer(r *http.Request) (string, bool) {
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	return token, ok && strings.EqualFold(scheme, "Bearer")
}

// refuse answers with an error as the registry API writes it.
func refuse(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"errors": []any{map[string]string{"code": code, "message": message}}})
}
