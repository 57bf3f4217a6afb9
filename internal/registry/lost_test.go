package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// trickle is a content that says when it has been read from first, and goes on only
// when it is let, or until its request ends.
type trickle struct {
	bytesContent
	once    sync.Once
	started chan struct{}
	opens   atomic.Int64
}

func (s *trickle) Open(ctx context.Context, offset int64) (io.ReadCloser, error) {
	if s.opens.Add(1) > 1 {
		return s.bytesContent.Open(ctx, offset)
	}
	return io.NopCloser(readerFunc(func([]byte) (int, error) {
		s.once.Do(func() { close(s.started) })
		<-ctx.Done() // as a spool that waits for its source
		return 0, ctx.Err()
	})), nil
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// The token dies in mid-upload while the source is waited for, and the connection that
// sends the blob anew breaks: neither is the source's fault.
func TestTokenExpiresAndConnectionBreaks(t *testing.T) {
	tokens := newTokenServer(t, "acme", "p")
	f := newFake(t)
	data, d := blobOf(1 << 20)
	content := &trickle{bytesContent: bytesContent{data: data}, started: make(chan struct{})}
	var puts atomic.Int64
	f.hook = func(w http.ResponseWriter, r *http.Request) bool {
		if tokens.guard(w, r) {
			return true
		}
		if r.Method == http.MethodPut {
			switch puts.Add(1) {
			case 1:
				<-content.started
				w.Header().Set("WWW-Authenticate", `Bearer realm="`+tokens.realm()+`",service="fake"`)
				w.WriteHeader(http.StatusUnauthorized)
				return true
			case 2:
				_, _ = io.CopyN(io.Discard, r.Body, 1000)
				panic(http.ErrAbortHandler)
			}
		}
		return false
	}
	c, _ := f.client(func(o *Options) { o.Auth = account("acme", "p") })
	how, err := c.Repository("a").Upload(t.Context(), d, nil, content, nil)
	if err != nil || how != Uploaded || len(f.blobs["a@"+d.Digest.String()]) != len(data) {
		t.Errorf("%v, %v", how, err)
	}
}

// lost is a hook that lets the first request of a method through and loses its answer.
func lost(f *fake, method string, then func(w http.ResponseWriter)) func(w http.ResponseWriter, r *http.Request) bool {
	var tries atomic.Int64
	return func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != method {
			return false
		}
		if tries.Add(1) > 1 {
			_, _ = io.Copy(io.Discard, r.Body)
			then(w)
			return true
		}
		if method == http.MethodPut {
			repo, ref, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/v2/"), "/manifests/")
			f.manifest(discarded{http.Header{}}, r, repo, ref)
		}
		panic(http.ErrAbortHandler)
	}
}

type discarded struct{ header http.Header }

func (d discarded) Header() http.Header         { return d.header }
func (d discarded) Write(p []byte) (int, error) { return len(p), nil }
func (d discarded) WriteHeader(int)             {}

// The second try of a write whose answer was lost meets the first.
func TestLostAnswerOnAnImmutableTag(t *testing.T) {
	for name, then := range map[string]func(w http.ResponseWriter){
		"ECR": func(w http.ResponseWriter) {
			refuse(w, 400, "TAG_INVALID", "The image tag 'v1' already exists in the 'a' repository and cannot be overwritten because the tag is immutable.")
		},
		"412": func(w http.ResponseWriter) { refuse(w, 412, "PRECONDITION", "no") },
	} {
		f := newFake(t)
		f.hook = lost(f, http.MethodPut, then)
		c, _ := f.client(nil)
		if _, err := c.Repository("a").PutManifest(t.Context(), "v1", []byte("{}"), "x/y", Condition{}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		// Something else under the tag is what it was: a refusal.
		f.manifests["a:v2"], f.types["a:v2"] = []byte(`{"other":1}`), "x/y"
		tries := 0
		f.hook = func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodPut {
				return false
			}
			if tries++; tries == 1 {
				panic(http.ErrAbortHandler)
			}
			then(w)
			return true
		}
		if _, err := c.Repository("a").PutManifest(t.Context(), "v2", []byte("{}"), "x/y", Condition{}); !errors.Is(err, ErrImmutable) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestLostAnswerToADelete(t *testing.T) {
	f := newFake(t)
	gone := func(w http.ResponseWriter) { refuse(w, 404, "MANIFEST_UNKNOWN", "manifest unknown") }
	f.hook = lost(f, http.MethodDelete, gone)
	c, _ := f.client(nil)
	if err := c.Repository("a").DeleteTag(t.Context(), "v1"); err != nil {
		t.Error(err)
	}
	f.hook = func(w http.ResponseWriter, r *http.Request) bool { gone(w); return true }
	if err := c.Repository("a").DeleteTag(t.Context(), "v1"); !errors.Is(err, ErrNotFound) {
		t.Errorf("a tag that never was: %v", err)
	}
}

// Who listens to notices may use the registry.
func TestNoticesAreSentWithoutLocks(t *testing.T) {
	tokens := newTokenServer(t, "acme", "p")
	tokens.expiresIn = 60
	f := newFake(t)
	f.hook = tokens.guard
	var r *Repository
	heard := 0
	c, clock := f.client(func(o *Options) {
		o.Auth = account("acme", "p")
		o.Notify = func(n Notice) {
			heard++
			if err := r.Login(t.Context()); err != nil { // it would wait for ever under a lock
				t.Errorf("%s: %v", n.Text, err)
			}
		}
	})
	r = c.Repository("a")
	for range 2 {
		if err := r.Login(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := clock.Sleep(t.Context(), time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	if heard == 0 {
		t.Error("no notice of a token renewed")
	}
}

// A registry that does not see yet what it took is asked a few times more; one that is not known
// to have it is believed.
func TestRegistryThatSeesLate(t *testing.T) {
	for _, c := range []struct {
		status int
		code   string
		late   int // times
		whole  bool
		puts   int
		fails  bool
	}{
		{404, "MANIFEST_BLOB_UNKNOWN", 3, true, 4, false},
		{400, "MANIFEST_BLOB_UNKNOWN", 1, true, 2, false},
		{404, "MANIFEST_UNKNOWN", 1, true, 2, false},
		{404, "MANIFEST_BLOB_UNKNOWN", 1 << 20, true, 1 + mostUnseen, true},
		{404, "MANIFEST_BLOB_UNKNOWN", 1, false, 1, true},
		{500, "MANIFEST_BLOB_UNKNOWN", 1 << 20, true, 1 + mostUnseen, true}, // of Distribution, for a layer's URL
		{404, "NAME_UNKNOWN", 1, true, 1, true},
		{403, "MANIFEST_BLOB_UNKNOWN", 1, true, 1, true},
	} {
		f := newFake(t)
		tries := 0
		f.hook = func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodPut {
				return false
			}
			if tries++; tries <= c.late {
				refuse(w, c.status, c.code, "manifest blob unknown to registry")
				return true
			}
			return false
		}
		client, clock := f.client(nil)
		_, err := client.Repository("a").PutManifest(t.Context(), "v1", []byte("{}"), "x/y", Condition{Whole: c.whole})
		if (err != nil) != c.fails || tries != c.puts || clock.Slept() > 10*time.Second {
			t.Errorf("%+v: %d PUTs in %v, %v", c, tries, clock.Slept(), err)
		}
		if c.fails && !strings.Contains(err.Error(), c.code) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// What a registry lacks is named, and looked for among all errors of its answer.
func TestMissingContent(t *testing.T) {
	_, one := blobOf(1)
	_, two := blobOf(2)
	const unknown = `{"code":"MANIFEST_BLOB_UNKNOWN","message":"blob unknown to registry","detail":%s}`
	for name, test := range map[string]struct {
		errors  []string
		digests []v1.Hash
	}{
		"Distribution": {[]string{fmt.Sprintf(unknown, `"`+one.Digest.String()+`"`), fmt.Sprintf(unknown, `"`+two.Digest.String()+`"`)}, []v1.Hash{one.Digest, two.Digest}},
		"an object":    {[]string{fmt.Sprintf(unknown, `{"digest":"`+one.Digest.String()+`"}`)}, []v1.Hash{one.Digest}},
		"in words":     {[]string{`{"code":"MANIFEST_BLOB_UNKNOWN","message":"blob ` + one.Digest.String() + ` is not here"}`}, []v1.Hash{one.Digest}},
		"not said":     {[]string{fmt.Sprintf(unknown, "null")}, nil},
		"not first":    {[]string{`{"code":"DIGEST_INVALID","message":"provided digest did not match"}`, fmt.Sprintf(unknown, `"`+two.Digest.String()+`"`)}, []v1.Hash{two.Digest}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, whole := range []bool{false, true} {
				f := newFake(t)
				puts := 0
				f.hook = func(w http.ResponseWriter, r *http.Request) bool {
					if r.Method != http.MethodPut {
						return false
					}
					puts++
					if whole && puts > 2 {
						return false
					}
					w.WriteHeader(http.StatusBadRequest)
					_, _ = io.WriteString(w, `{"errors":[`+strings.Join(test.errors, ",")+`]}`)
					return true
				}
				c, _ := f.client(nil)
				_, err := c.Repository("a").PutManifest(t.Context(), "v1", []byte("{}"), "x/y", Condition{Whole: whole})
				if whole {
					if err != nil || puts != 3 {
						t.Errorf("%v after %d PUTs", err, puts)
					}
					continue
				}
				var lacks *MissingContentError
				if !errors.As(err, &lacks) || !slices.Equal(lacks.Digests, test.digests) || puts != 1 {
					t.Errorf("%v, lacking %v after %d PUTs", err, lacks, puts)
				}
			}
		})
	}
}
