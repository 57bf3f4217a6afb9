// Package light is a registry that hashes what it gets and throws it away, and serves blobs
// that it computes: for measures and tests that would not fit on a disk, or that must not depend
// on one. It also counts what a server of any kind is asked.
package light

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

// Registry remembers digests and sizes of what it gets, and serves what was made, from
// any offset.
type Registry struct {
	mu        sync.Mutex
	blobs     map[string]map[string]int64 // repository → digest → size
	made      map[string]Made
	manifests map[string]map[string]stored // repository → tag or digest
	uploads   map[string]hash.Hash
	sent      map[string]int64 // of each upload
	last      int
}

type stored struct {
	raw       []byte
	mediaType string
}

// Made is a blob that is computed: the key stream of AES in counter mode, which can
// start anywhere.
type Made struct {
	Seed byte
	Size int64
}

func (m Made) at(offset int64) io.Reader {
	block, err := aes.NewCipher([]byte(strings.Repeat(string(rune('a'+m.Seed%26)), 16)))
	if err != nil {
		panic(err) // the key has the right length
	}
	iv := make([]byte, 16)
	for i, n := 15, offset/16; n > 0; i, n = i-1, n>>8 {
		iv[i] = byte(n)
	}
	r := cipher.StreamReader{S: cipher.NewCTR(block, iv), R: zero{}}
	_, _ = io.CopyN(io.Discard, r, offset%16)
	return io.LimitReader(r, m.Size-offset)
}

// digest reads all of it.
func (m Made) digest() string {
	h := sha256.New()
	_, _ = io.CopyBuffer(struct{ io.Writer }{h}, m.at(0), make([]byte, 1<<20))
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}

type zero struct{}

func (zero) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// New returns an empty registry.
func New() *Registry {
	l := &Registry{}
	l.Wipe()
	return l
}

// Wipe forgets all but what was made.
func (l *Registry) Wipe() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.blobs = map[string]map[string]int64{}
	l.manifests = map[string]map[string]stored{}
	l.uploads = map[string]hash.Hash{}
	l.sent = map[string]int64{}
	if l.made == nil {
		l.made = map[string]Made{}
	}
}

// Make adds a computed blob and returns its digest.
func (l *Registry) Make(m Made) string {
	digest := m.digest()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.made[digest] = m
	return digest
}

// Put adds a manifest under its digest and, if not empty, a tag.
func (l *Registry) Put(repository, tag, mediaType string, raw []byte) string {
	sum := sha256.Sum256(raw)
	digest := "sha256:" + hex.EncodeToString(sum[:])
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.manifests[repository] == nil {
		l.manifests[repository] = map[string]stored{}
	}
	l.manifests[repository][digest] = stored{raw, mediaType}
	if tag != "" {
		l.manifests[repository][tag] = stored{raw, mediaType}
	}
	return digest
}

// ServeHTTP implements the distribution specification as far as pushing and pulling need it.
func (l *Registry) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m := endpoint.FindStringSubmatch(r.URL.Path)
	switch {
	case m == nil:
		w.WriteHeader(http.StatusOK)
	case m[2] == "blobs":
		l.blob(w, r, m[1], m[3])
	case m[2] == "blobs/uploads":
		l.upload(w, r, m[1], m[3])
	case m[2] == "manifests":
		l.manifest(w, r, m[1], m[3])
	case m[2] == "referrers":
		w.Header().Set("Content-Type", "application/vnd.oci.image.index.v1+json")
		fmt.Fprint(w, `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`)
	default:
		fail(w, http.StatusNotFound, "UNSUPPORTED")
	}
}

func fail(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"errors": []any{map[string]string{"code": code}}})
}

func (l *Registry) blob(w http.ResponseWriter, r *http.Request, repository, digest string) {
	l.mu.Lock()
	size, ok := l.blobs[repository][digest]
	m, computed := l.made[digest]
	l.mu.Unlock()
	if computed {
		size, ok = m.Size, true
	}
	if !ok || r.Method == http.MethodGet && !computed {
		fail(w, http.StatusNotFound, "BLOB_UNKNOWN")
		return
	}
	w.Header().Set("Docker-Content-Digest", digest)
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Accept-Ranges", "bytes")
	offset, status := int64(0), http.StatusOK
	if from, found := strings.CutPrefix(r.Header.Get("Range"), "bytes="); found {
		n, err := strconv.ParseInt(strings.Split(from, "-")[0], 10, 64)
		if err != nil || n >= size {
			fail(w, http.StatusRequestedRangeNotSatisfiable, "RANGE_INVALID")
			return
		}
		offset, status = n, http.StatusPartialContent
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", n, size-1, size))
	}
	w.Header().Set("Content-Length", strconv.FormatInt(size-offset, 10))
	w.WriteHeader(status)
	if r.Method == http.MethodGet {
		_, _ = io.CopyBuffer(struct{ io.Writer }{w}, m.at(offset), make([]byte, 256<<10)) // the client may hang up
	}
}

func (l *Registry) upload(w http.ResponseWriter, r *http.Request, repository, id string) {
	query := r.URL.Query()
	location := func(id string) {
		w.Header().Set("Location", "/v2/"+repository+"/blobs/uploads/"+id)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if r.Method == http.MethodPost {
		if size, ok := l.blobs[query.Get("from")][query.Get("mount")]; ok {
			l.keep(repository, query.Get("mount"), size)
			w.Header().Set("Location", "/v2/"+repository+"/blobs/"+query.Get("mount"))
			w.Header().Set("Docker-Content-Digest", query.Get("mount"))
			w.WriteHeader(http.StatusCreated)
			return
		}
		l.last++
		id = strconv.Itoa(l.last)
		l.uploads[id] = sha256.New()
		location(id)
		w.Header().Set("Range", "0-0")
		w.WriteHeader(http.StatusAccepted)
		return
	}
	sum := l.uploads[id]
	if sum == nil {
		fail(w, http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN")
		return
	}
	switch r.Method {
	case http.MethodDelete:
		delete(l.uploads, id)
		w.WriteHeader(http.StatusNoContent)
		return
	case http.MethodPatch, http.MethodPut:
		l.mu.Unlock()
		n, err := io.CopyBuffer(struct{ io.Writer }{sum}, struct{ io.Reader }{r.Body}, make([]byte, 256<<10))
		l.mu.Lock()
		l.sent[id] += n
		if err != nil {
			return
		}
	}
	if r.Method != http.MethodPut {
		location(id)
		w.Header().Set("Range", fmt.Sprintf("0-%d", max(0, l.sent[id]-1)))
		status := http.StatusAccepted
		if r.Method == http.MethodGet {
			status = http.StatusNoContent
		}
		w.WriteHeader(status)
		return
	}
	digest := "sha256:" + hex.EncodeToString(sum.Sum(nil))
	if digest != query.Get("digest") {
		fail(w, http.StatusBadRequest, "DIGEST_INVALID")
		return
	}
	l.keep(repository, digest, l.sent[id])
	delete(l.uploads, id)
	w.Header().Set("Location", "/v2/"+repository+"/blobs/"+digest)
	w.Header().Set("Docker-Content-Digest", digest)
	w.WriteHeader(http.StatusCreated)
}

func (l *Registry) keep(repository, digest string, size int64) {
	if l.blobs[repository] == nil {
		l.blobs[repository] = map[string]int64{}
	}
	l.blobs[repository][digest] = size
}

func (l *Registry) manifest(w http.ResponseWriter, r *http.Request, repository, reference string) {
	if r.Method == http.MethodPut {
		raw, err := io.ReadAll(io.LimitReader(r.Body, 4<<20))
		if err != nil {
			return
		}
		tag := reference
		if strings.HasPrefix(reference, "sha256:") {
			tag = ""
		}
		digest := l.Put(repository, tag, r.Header.Get("Content-Type"), raw)
		w.Header().Set("Location", "/v2/"+repository+"/manifests/"+digest)
		w.Header().Set("Docker-Content-Digest", digest)
		w.WriteHeader(http.StatusCreated)
		return
	}
	l.mu.Lock()
	m, ok := l.manifests[repository][reference]
	l.mu.Unlock()
	if !ok {
		fail(w, http.StatusNotFound, "MANIFEST_UNKNOWN")
		return
	}
	sum := sha256.Sum256(m.raw)
	w.Header().Set("Content-Type", m.mediaType)
	w.Header().Set("Content-Length", strconv.Itoa(len(m.raw)))
	w.Header().Set("Docker-Content-Digest", "sha256:"+hex.EncodeToString(sum[:]))
	if r.Method == http.MethodGet {
		_, _ = w.Write(m.raw)
	}
}
