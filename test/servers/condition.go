package servers

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"

	"github.com/google/go-containerregistry/pkg/v1"
)

// preconditions makes writes of tags honour If-Match and If-None-Match (RFC 9110,
// section 13), which Distribution does not. The entity tag is the digest.
func preconditions(next http.Handler) http.Handler {
	var mu sync.Mutex
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, ok := written(r); !ok {
			next.ServeHTTP(w, r)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		now, known := serves(next, r)
		none, match := r.Header.Get("If-None-Match"), r.Header.Get("If-Match")
		if known && (none != "" && matches(none, now) || match != "" && !matches(match, now)) {
			refuse(w, http.StatusPreconditionFailed, "PRECONDITION_FAILED", "the tag points at "+now)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func matches(header, digest string) bool {
	if header == "*" {
		return digest != ""
	}
	for tag := range strings.SplitSeq(header, ",") {
		if strings.Trim(strings.TrimSpace(tag), `"`) == digest && digest != "" {
			return true
		}
	}
	return false
}

// immutable refuses to move tags that match, in the way of ECR.
func immutable(tags *regexp.Regexp, next http.Handler) http.Handler {
	var mu sync.Mutex
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tag, ok := written(r)
		if !ok || !tags.MatchString(tag) {
			next.ServeHTTP(w, r)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		if now, known := serves(next, r); known && now != "" {
			refuse(w, http.StatusBadRequest, "TAG_INVALID",
				"The image tag '"+tag+"' already exists and cannot be overwritten because the tag is immutable.")
			return
		}
		next.ServeHTTP(w, r)
	})
}

var manifestOf = regexp.MustCompile(ManifestPath)

// written returns the tag that a request writes.
func written(r *http.Request) (tag string, ok bool) {
	if r.Method != http.MethodPut || !manifestOf.MatchString(r.URL.Path) {
		return "", false
	}
	tag = r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
	return tag, !strings.Contains(tag, ":")
}

// serves returns the digest of what the tag that r writes points at now, "" for nothing. It is
// not known when the registry would not say: then r is not authenticated.
func serves(next http.Handler, r *http.Request) (digest string, known bool) {
	head := r.Clone(r.Context())
	head.Method, head.Body, head.ContentLength = http.MethodHead, http.NoBody, 0
	for _, name := range []string{"Content-Type", "If-Match", "If-None-Match"} {
		head.Header.Del(name)
	}
	head.Header.Set("Accept", "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, "+
		"application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json")
	w := httptest.NewRecorder()
	next.ServeHTTP(w, head)
	switch w.Code {
	case http.StatusOK:
		hash, err := v1.NewHash(w.Header().Get("Docker-Content-Digest"))
		return hash.String(), err == nil
	case http.StatusNotFound:
		return "", true
	}
	return "", false
}
