package registry

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

func isUpload(r *http.Request) bool { return strings.Contains(r.URL.Path, "/blobs/uploads/") }

// A registry that refuses a blob in one PUT gets it in the other way, and the host is
// remembered: the next blob goes there at once, whatever its repository.
func TestPutsThatAreRefused(t *testing.T) {
	for name, test := range map[string]struct {
		status int
		code   string
		wasted int // requests with bytes that were refused, of two blobs
	}{
		"Artifactory 6":      {404, "BLOB_UNKNOWN", 1},
		"other code":         {404, "NOT_SUPPORTED_HERE", 1},
		"405":                {405, "", 1},
		"411":                {411, "", 1},
		"415":                {415, "", 1},
		"501":                {501, "", 1},
		"unsupported":        {400, "UNSUPPORTED", 1},
		"unsaid":             {400, "", 1},
		"size":               {400, "SIZE_INVALID", 1},
		"called invalid":     {400, "BLOB_UPLOAD_INVALID", 1},
		"406":                {406, "", 1},
		"422":                {422, "", 1},
		"not the end of it":  {202, "", 1},
		"forgotten":          {404, "BLOB_UPLOAD_UNKNOWN", 2},
		"forgotten, no code": {404, "", 2},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			wasted := 0
			f.hook = func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method == http.MethodPut && isUpload(r) && r.ContentLength > 0 {
					wasted++
					_, _ = io.Copy(io.Discard, r.Body)
					refuse(w, test.status, test.code, "not so")
					return true
				}
				return false
			}
			c, clock := f.client(nil)
			for i, repo := range []string{"a", "b"} {
				data, d := blobOf(100_000 + i)
				var p sum
				how, err := c.Repository(repo).Upload(t.Context(), d, nil, &bytesContent{data: data}, &p)
				if err != nil || how != Uploaded || !bytes.Equal(f.blobs[repo+"@"+d.Digest.String()], data) || p.n.Load() != d.Size {
					t.Errorf("Upload: %v, %v, progress %d", how, err, p.n.Load())
				}
			}
			if wasted != test.wasted || clock.Slept() > 10*time.Second {
				t.Errorf("refused %d times, want %d; slept %v", wasted, test.wasted, clock.Slept())
			}
		})
	}
}

// After a break a blob goes on by PATCH; where that is refused it starts anew, and the
// host is remembered.
func TestPatchesThatAreRefused(t *testing.T) {
	for name, test := range map[string]struct {
		status int
		code   string
	}{
		"405":           {405, ""},
		"unsupported":   {400, "UNSUPPORTED"},
		"Artifactory's": {404, "BLOB_UNKNOWN"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.hook = func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method == http.MethodPatch {
					refuse(w, test.status, test.code, "not so")
				}
				return r.Method == http.MethodPatch
			}
			c, _ := f.client(nil)
			for i := range 2 {
				f.limitBody = breaks(50_000)
				data, d := blobOf(100_000 + i)
				how, err := c.Repository("a").Upload(t.Context(), d, nil, &bytesContent{data: data}, nil)
				if err != nil || how != Uploaded || !bytes.Equal(f.blobs["a@"+d.Digest.String()], data) {
					t.Errorf("Upload: %v, %v", how, err)
				}
			}
			if n := f.requests("PATCH"); n != 1 {
				t.Errorf("%d PATCHes, want 1", n)
			}
		})
	}
}

// A registry that answers each PUT with bytes as if it failed in passing gets them by PATCH in the
// end; it is not taken for one that takes no PUT, since most such failures do pass.
func TestPutsThatFailForEver(t *testing.T) {
	for _, status := range []int{416, 500, 503} {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			f := newFake(t)
			failed := 0
			f.hook = func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method != http.MethodPut || !isUpload(r) || r.ContentLength == 0 || failed == mostFailedPuts {
					return false
				}
				failed++
				_, _ = io.Copy(io.Discard, r.Body)
				w.WriteHeader(status)
				return true
			}
			c, clock := f.client(nil)
			for i := range 2 {
				data, d := blobOf(1000 + i)
				how, err := c.Repository("a").Upload(t.Context(), d, nil, &bytesContent{data: data}, nil)
				if err != nil || how != Uploaded || !bytes.Equal(f.blobs["a@"+d.Digest.String()], data) {
					t.Errorf("Upload: %v, %v: %v", how, err, f.log)
				}
			}
			if n := f.requests("PATCH"); failed != mostFailedPuts || n != 1 || clock.Slept() > time.Minute {
				t.Errorf("%d PUTs failed, %d PATCHes, slept %v", failed, n, clock.Slept())
			}
		})
	}
}

// A PUT that is answered 202 may have made the blob or not: it is asked for. One that never
// makes it is a failure, not a blob.
func TestUploadsThatAreOnlyAccepted(t *testing.T) {
	for name, test := range map[string]struct {
		keeps bool
		want  How
		puts  int
	}{
		"there":     {keeps: true, want: Uploaded, puts: 1},
		"not there": {puts: 2},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			data, d := blobOf(1000)
			f.hook = func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method != http.MethodPut || !isUpload(r) {
					return false
				}
				_, _ = io.Copy(io.Discard, r.Body)
				if test.keeps {
					f.mu.Lock()
					f.blobs["a@"+d.Digest.String()] = data
					f.mu.Unlock()
				}
				w.WriteHeader(http.StatusAccepted)
				return true
			}
			c, _ := f.client(nil)
			var p sum
			how, err := c.Repository("a").Upload(t.Context(), d, nil, &bytesContent{data: data}, &p)
			if how != test.want || (err == nil) != test.keeps || f.requests("PUT") != test.puts || test.keeps && p.n.Load() != d.Size {
				t.Errorf("Upload: %v, %v, progress %d: %v", how, err, p.n.Load(), f.log)
			}
		})
	}
}

// What is refused in both ways is refused: at once, in the registry's words.
func TestUploadsThatAreRefused(t *testing.T) {
	f := newFake(t)
	f.hook = func(w http.ResponseWriter, r *http.Request) bool {
		if isUpload(r) && r.ContentLength > 0 {
			refuse(w, 404, "BLOB_UNKNOWN", "nothing of that kind")
			return true
		}
		return false
	}
	c, clock := f.client(nil)
	for i := range 2 { // and nothing is learned of it
		data, d := blobOf(1000 + i)
		_, err := c.Repository("a").Upload(t.Context(), d, nil, &bytesContent{data: data}, nil)
		if !usererror.Is(err, usererror.RegistryRefused) || !strings.Contains(err.Error(), "nothing of that kind") {
			t.Errorf("Upload: %v", err)
		}
	}
	if puts, patches := f.requests("PUT"), f.requests("PATCH"); puts != 2 || patches != 2 || clock.Slept() != 0 {
		t.Errorf("%d PUTs, %d PATCHes, slept %v", puts, patches, clock.Slept())
	}
}

// A proxy that knows no PUT answers 404 to the one that ends an upload as well: a few times are
// enough. An upload that is lost again and again is another matter.
func TestUploadsThatAreNeverClosed(t *testing.T) {
	for code, finals := range map[string]int{"": mostUnclosed, "BLOB_UNKNOWN": mostUnclosed, "BLOB_UPLOAD_UNKNOWN": 9} {
		f := newFake(t)
		refused := 0
		f.hook = func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodPut || !isUpload(r) {
				return false
			}
			if r.ContentLength == 0 {
				if refused++; refused == 9 {
					return false
				}
			}
			_, _ = io.Copy(io.Discard, r.Body)
			refuse(w, 404, code, "")
			return true
		}
		c, clock := f.client(nil)
		data, d := blobOf(1000)
		_, err := c.Repository("a").Upload(t.Context(), d, nil, &bytesContent{data: data}, nil)
		if (err == nil) != (finals == 9) || refused != finals {
			t.Errorf("%q: Upload: %v, after %d refusals in %v", code, err, refused, clock.Slept())
		}
		if finals < 9 && (!usererror.Is(err, usererror.RegistryRefused) || clock.Slept() > 10*time.Second) {
			t.Errorf("%q: Upload: %v, in %v", code, err, clock.Slept())
		}
	}
}

// A session whose status is always 5xx is given up after three of them.
func TestUploadWhoseStatusIsBroken(t *testing.T) {
	f := newFake(t)
	f.limitBody = breaks(50_000)
	f.hook = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodGet && isUpload(r) {
			w.WriteHeader(http.StatusInternalServerError)
			return true
		}
		return false
	}
	c, clock := f.client(nil)
	data, d := blobOf(100_000)
	how, err := c.Repository("a").Upload(t.Context(), d, nil, &bytesContent{data: data}, nil)
	if err != nil || how != Uploaded || f.requests("GET /v2/a/blobs/uploads/") != mostStatusErrors || f.requests("POST") != 2 {
		t.Errorf("Upload: %v, %v: %v", how, err, f.log)
	}
	if slept := clock.Slept(); slept > 10*time.Second {
		t.Errorf("it took %v", slept)
	}
}

// A proxy that takes no body above a size says 413, and its answer is lost because it
// resets the connection: after some breaks at the same place smaller pieces are sent.
func TestProxyThatResetsLargeBodies(t *testing.T) {
	for name, most := range map[string]int64{"1 MiB": 1 << 20, "8 MiB": 8 << 20} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			resets := 0
			f.hook = func(_ http.ResponseWriter, r *http.Request) bool {
				if isUpload(r) && r.ContentLength > most {
					resets++
					_, _ = io.CopyN(io.Discard, r.Body, 1000)
					panic(http.ErrAbortHandler)
				}
				return false
			}
			c, clock := f.client(nil)
			for i := range 2 {
				data, d := blobOf(9<<20 + i)
				var p sum
				how, err := c.Repository("a").Upload(t.Context(), d, nil, &bytesContent{data: data}, &p)
				if err != nil || how != Uploaded || !bytes.Equal(f.blobs["a@"+d.Digest.String()], data) || p.n.Load() != d.Size {
					t.Fatalf("Upload: %v, %v, progress %d", how, err, p.n.Load())
				}
			}
			if resets > 2*mostBreaks || clock.Slept() > 30*time.Second {
				t.Errorf("%d resets, slept %v", resets, clock.Slept())
			}
		})
	}
}

// Some registries say 416 of a piece that is too large.
func TestPiecesOutOfRange(t *testing.T) {
	f := newFake(t)
	f.noPutBody = true
	f.hook = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPatch && r.ContentLength > 2<<20 {
			_, _ = io.Copy(io.Discard, r.Body) // an answer before its end may be lost with the connection
			refuse(w, http.StatusRequestedRangeNotSatisfiable, "", "chunk too large")
			return true
		}
		return false
	}
	c, clock := f.client(nil)
	data, d := blobOf(9 << 20)
	how, err := c.Repository("a").Upload(t.Context(), d, nil, &bytesContent{data: data}, nil)
	if err != nil || how != Uploaded || !bytes.Equal(f.blobs["a@"+d.Digest.String()], data) || clock.Slept() > 30*time.Second {
		t.Errorf("Upload: %v, %v, slept %v", how, err, clock.Slept())
	}
}

// A registry that gets a few bytes farther each time does not keep us for ever.
func TestUploadThatCreeps(t *testing.T) {
	const step = 100
	for name, change := range map[string]func(f *fake){
		"breaking off": func(f *fake) { f.limitBody = func(*http.Request) int64 { return step } },
		"taking little": func(f *fake) {
			f.noPutBody = true
			taken := 0
			f.hook = func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method != http.MethodPatch {
					return false
				}
				_, _ = io.Copy(io.Discard, r.Body)
				taken += step
				w.Header().Set("Range", fmt.Sprintf("0-%d", taken-1))
				w.WriteHeader(http.StatusAccepted)
				return true
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			change(f)
			c, clock := f.client(nil)
			data, d := blobOf(1 << 20)
			_, err := c.Repository("a").Upload(t.Context(), d, nil, &bytesContent{data: data}, nil)
			if !usererror.Is(err, usererror.RegistryGaveUp) {
				t.Errorf("Upload: %v", err)
			}
			if slept, n := clock.Slept(), f.requests(""); slept > 10*time.Minute || n > 200 {
				t.Errorf("%d requests in %v", n, slept)
			}
		})
	}
}
