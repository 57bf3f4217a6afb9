package registry

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/multi-registry-push/multi-registry-push/internal/retry"
	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

func TestRedirects(t *testing.T) {
	for name, test := range map[string]struct {
		location string
		want     usererror.Code
	}{
		"in circles":    {"", usererror.UnsafeRedirect},
		"to link-local": {"http://169.254.169.254/latest/meta-data", usererror.UnsafeRedirect},
		"to nowhere":    {"http://[::1", usererror.UnsafeRedirect},
		"to a file":     {"file:///etc/passwd", usererror.UnsafeRedirect},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.hook = func(w http.ResponseWriter, r *http.Request) bool {
				if r.URL.Path == "/v2/" {
					return false
				}
				location := test.location
				if location == "" {
					location = r.URL.Path + "x"
				}
				w.Header()["Location"] = []string{location}
				w.WriteHeader(http.StatusTemporaryRedirect)
				return true
			}
			c, clock := f.client(nil)
			_, d := blobOf(10)
			_, _, err := c.Repository("a").Manifest(t.Context(), "latest")
			_, err2 := c.Repository("a").OpenBlob(t.Context(), d, 0)
			for _, err := range []error{err, err2} {
				if !usererror.Is(err, test.want) {
					t.Errorf("%v, want %s", err, test.want)
				}
			}
			if n := len(f.log); n > 2*(maxRedirects+2) || clock.Slept() != 0 {
				t.Errorf("%d requests", n)
			}
		})
	}
}

// endless is a body that does not end, as far as the client lets it.
func endless(w http.ResponseWriter) {
	chunk := bytes.Repeat([]byte("endless "), 8<<10)
	for {
		if _, err := w.Write(chunk); err != nil {
			return
		}
	}
}

func TestEndlessBodies(t *testing.T) {
	for status, check := range map[int]func(error) bool{
		http.StatusOK:         func(err error) bool { return usererror.Is(err, usererror.ManifestTooLarge) },
		http.StatusBadRequest: func(err error) bool { return usererror.Is(err, usererror.RegistryRefused) && len(err.Error()) < 600 },
	} {
		f := newFake(t)
		f.hook = func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == "/v2/" {
				return false
			}
			w.WriteHeader(status)
			endless(w)
			return true
		}
		var received atomic.Int64
		c, _ := f.client(func(o *Options) { o.Trace = func(t Trace) { received.Add(t.Received) } })
		if _, _, err := c.Repository("a").Manifest(t.Context(), "latest"); !check(err) {
			t.Errorf("%d: %v", status, err)
		}
		if status == http.StatusOK {
			_, d := blobOf(5000)
			body, err := c.Repository("a").OpenBlob(t.Context(), d, 0)
			if err != nil {
				t.Fatal(err)
			}
			n, err := io.Copy(io.Discard, body)
			_ = body.Close()
			if n != d.Size || !usererror.Is(err, usererror.DigestMismatch) {
				t.Errorf("a blob of %d bytes: read %d, %v", d.Size, n, err)
			}
		}
		if got := received.Load(); got < 5000 || got > maxManifest+1<<20 {
			t.Errorf("%d: %d bytes were read", status, got)
		}
	}
}

// dripping is the hook of a registry whose answers, of size bytes or -1 for what they do not say, come
// byte by byte.
func dripping(every time.Duration, size int64) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/v2/" {
			return false
		}
		if size >= 0 {
			w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
		}
		for {
			if _, err := w.Write([]byte("x")); err != nil {
				return true
			}
			w.(http.Flusher).Flush()
			if (retry.SystemClock{}).Sleep(r.Context(), every) != nil {
				return true
			}
		}
	}
}

// A manifest may not drip for ever, though it moves.
func TestDrippingManifest(t *testing.T) { synctest.Test(t, drippingManifest) }

func drippingManifest(t *testing.T) {
	f := newFakeHandler(t)
	f.hook = dripping(time.Millisecond, -1)
	c := f.inBubble(Options{Stall: 200 * time.Millisecond, Answer: 300 * time.Millisecond, RetryBudget: time.Second})
	if _, _, err := c.Repository("a").Manifest(t.Context(), "latest"); !usererror.Is(err, usererror.RegistryGaveUp) {
		t.Errorf("Manifest: %v", err)
	}
}

// Nor may a blob, of which any length may come: some bytes a minute are a stall.
func TestDrippingBlob(t *testing.T) { synctest.Test(t, drippingBlob) }

func drippingBlob(t *testing.T) {
	f := newFakeHandler(t)
	_, d := blobOf(1 << 20)
	f.hook = dripping(time.Second, d.Size)
	began := time.Now()
	c := f.inBubble(Options{RetryBudget: time.Minute})
	blob, err := c.Repository("a").OpenBlob(t.Context(), d, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer blob.Close()
	n, err := io.Copy(io.Discard, blob)
	if took := time.Since(began); err == nil || took > 10*time.Minute {
		t.Errorf("%d bytes in %v: %v", n, took, err)
	}
}

func TestGzipBomb(t *testing.T) {
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	_, _ = z.Write(make([]byte, 64<<20))
	_ = z.Close()
	f := newFake(t)
	f.hook = func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/v2/" {
			return false
		}
		if got := r.Header.Get("Accept-Encoding"); got != "" {
			t.Errorf("asked for %s", got)
		}
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(bomb.Bytes())
		return true
	}
	c, _ := f.client(nil)
	raw, _, err := c.Repository("a").Manifest(t.Context(), "latest")
	if err == nil && len(raw) != bomb.Len() {
		t.Errorf("%d bytes out of %d", len(raw), bomb.Len())
	}
}

func TestAbsurdHeaders(t *testing.T) {
	f := newFake(t)
	f.hook = func(w http.ResponseWriter, r *http.Request) bool {
		for i := range 2000 {
			w.Header().Set(fmt.Sprintf("X-%d", i), strings.Repeat("x", 1000))
		}
		return false
	}
	c, clock := f.client(nil)
	if err := c.Repository("a").Login(t.Context()); err == nil || clock.Slept() != 0 {
		t.Errorf("Login: %v, slept %v", err, clock.Slept())
	}
}

func TestLyingManifests(t *testing.T) {
	raw := []byte(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json"}`)
	right := digestText("sha256", raw)
	wrong := "sha256:" + strings.Repeat("0", 64)
	for name, test := range map[string]struct {
		ref, header string
		want        usererror.Code
	}{
		"by tag":                       {"v1", right, ""},
		"by tag, nothing announced":    {"v1", "", ""},
		"by tag, nonsense announced":   {"v1", "x", ""},
		"by tag, another announced":    {"v1", wrong, usererror.DigestMismatch},
		"by digest":                    {right, right, ""},
		"by digest, other bytes":       {wrong, wrong, usererror.DigestMismatch},
		"by digest, another announced": {right, wrong, ""},
		"by sha512":                    {digestText("sha512", raw), digestText("sha512", raw), ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.hook = func(w http.ResponseWriter, r *http.Request) bool {
				if r.URL.Path == "/v2/" {
					return false
				}
				w.Header().Set("Docker-Content-Digest", test.header)
				_, _ = w.Write(raw)
				return true
			}
			c, _ := f.client(nil)
			got, d, err := c.Repository("a").Manifest(t.Context(), test.ref)
			if test.want != "" {
				if !usererror.Is(err, test.want) {
					t.Errorf("Manifest: %v, want %s", err, test.want)
				}
				return
			}
			if err != nil || !bytes.Equal(got, raw) || d.Size != int64(len(raw)) || d.MediaType != "application/vnd.oci.image.manifest.v1+json" {
				t.Errorf("Manifest: %v, %v", d, err)
			}
		})
	}
}

// A registry that claims more of an upload than it was sent is not believed.
func TestLyingUploads(t *testing.T) {
	for name, claim := range map[string]string{"too much": "0-99999999", "everything": "0-1048575", "nonsense": "0-99999999999999999999999", "negative": "0--5"} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.limitBody = breaks(1000)
			f.hook = func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/uploads/") {
					w.Header().Set("Range", claim)
					w.WriteHeader(http.StatusNoContent)
					return true
				}
				return false
			}
			c, _ := f.client(nil)
			data, d := blobOf(1 << 20)
			var p sum
			_, err := c.Repository("a").Upload(t.Context(), d, nil, &bytesContent{data: data}, &p)
			if err != nil || p.n.Load() != d.Size || !bytes.Equal(f.blobs["a@"+d.Digest.String()], data) {
				t.Errorf("Upload: %v, progress %d", err, p.n.Load())
			}
		})
	}
}

func TestListsFromElsewhere(t *testing.T) {
	f := newFake(t)
	page := 0
	f.hook = func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, "/tags/list") {
			return false
		}
		switch r.URL.Query().Get("last") {
		case "":
			w.Header().Set("Link", `</v2/a/tags/list?n=1&last=one>; rel="next"`)
			_, _ = w.Write([]byte(`{"tags":["one"]}`))
		case "one":
			_, _ = w.Write([]byte(`{"tags":["two"]}`))
		case "loop":
			page++
			w.Header().Set("Link", fmt.Sprintf(`</v2/a/tags/list?last=loop&page=%d>; rel="next"`, page))
			_, _ = w.Write([]byte(`{"tags":["x"]}`))
		}
		return true
	}
	c, _ := f.client(nil)
	tags, err := c.Repository("a").Tags(t.Context())
	if err != nil || fmt.Sprint(tags) != "[one two]" {
		t.Errorf("Tags: %v, %v", tags, err)
	}
	first := func() *url.URL { return c.Repository("a").at("/tags/list", url.Values{"last": {"loop"}}) }
	if err := c.Repository("a").pages(t.Context(), "", first, nil, func([]byte) error { return nil }); err == nil || page > maxPages {
		t.Errorf("an endless list: %v after %d pages", err, page)
	}
}

// A list of referrers in pages is read whole, whatever its entries are; one whose rest is
// lacking is no list, and no reason to look for a fallback tag.
func TestReferrersInPages(t *testing.T) {
	subject := "sha256:" + strings.Repeat("a", 64)
	page := func(n int) string {
		_, d := blobOf(n)
		return fmt.Sprintf(`{"schemaVersion":2,"manifests":[{"mediaType":"application/x.foreign+json","digest":%q,"size":%d,"artifactType":"x/%d","annotations":{"n":"%d"}}]}`, d.Digest, d.Size, n, n)
	}
	for name, lacking := range map[string]int{"whole": 0, "the rest is lacking": 3} {
		f := newFake(t)
		f.hook = func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.Contains(r.URL.Path, "/referrers/") {
				return false
			}
			n, _ := strconv.Atoi(r.URL.Query().Get("page"))
			if n++; n == lacking {
				refuse(w, http.StatusNotFound, "UNKNOWN", "no such page")
				return true
			}
			w.Header().Add("Link", `</v2/other>; rel="help"`)
			if n < 3 {
				w.Header().Add("Link", fmt.Sprintf(`<%s?page=%d>; title="x"; rel="next"`, r.URL.Path, n))
			}
			_, _ = io.WriteString(w, page(n))
			return true
		}
		c, _ := f.client(nil)
		ds, api, err := c.Repository("a").Referrers(t.Context(), subject)
		if lacking != 0 {
			if err == nil || f.requests("GET /v2/a/manifests/") != 0 {
				t.Errorf("%s: %d, %v", name, len(ds), err)
			}
			continue
		}
		if err != nil || !api || len(ds) != 3 || ds[2].ArtifactType != "x/3" || ds[2].Annotations["n"] != "3" {
			t.Errorf("%s: %v, %v, %v", name, ds, api, err)
		}
	}
}

func TestReferrers(t *testing.T) {
	_, d := blobOf(3)
	index := `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"` + d.Digest.String() + `","size":3,"artifactType":"x/y"}]}`
	subject := "sha256:" + strings.Repeat("a", 64)
	for name, test := range map[string]struct {
		status  int
		body    string
		tag     bool
		api     bool
		entries int
	}{
		"api":                  {200, index, false, true, 1},
		"api, none":            {200, `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`, true, true, 0},
		"no api":               {404, "404 page not found", false, false, 0},
		"no api, fallback tag": {404, "404 page not found", true, false, 1},
		"no api, says 200":     {200, "<html>", true, false, 1},
		"no api, says 405":     {405, "", true, false, 1},
		"no api, says 400":     {400, "", true, false, 1},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.hook = func(w http.ResponseWriter, r *http.Request) bool {
				if strings.Contains(r.URL.Path, "/referrers/") {
					w.WriteHeader(test.status)
					_, _ = w.Write([]byte(test.body))
					return true
				}
				return false
			}
			if test.tag {
				key := "a:" + strings.Replace(subject, ":", "-", 1)
				f.manifests[key], f.types[key] = []byte(index), "application/vnd.oci.image.index.v1+json"
			}
			c, _ := f.client(nil)
			ds, api, err := c.Repository("a").Referrers(t.Context(), subject)
			if err != nil || api != test.api || len(ds) != test.entries {
				t.Errorf("Referrers: %d, %v, %v", len(ds), api, err)
			}
		})
	}
}

// What stands under the fallback tag and is no list is told, so that nobody writes over it.
func TestNoReferrersList(t *testing.T) {
	subject := "sha256:" + strings.Repeat("a", 64)
	for content, mediaType := range map[string]string{
		`{"schemaVersion":2,"config":{}}`: "application/vnd.oci.image.manifest.v1+json",
		`[]`:                              "application/vnd.oci.image.index.v1+json",
	} {
		f := newFake(t)
		f.hook = func(w http.ResponseWriter, r *http.Request) bool {
			if missing := strings.Contains(r.URL.Path, "/referrers/"); missing {
				w.WriteHeader(http.StatusNotFound)
				return true
			}
			return false
		}
		key := "a:" + strings.Replace(subject, ":", "-", 1)
		f.manifests[key], f.types[key] = []byte(content), mediaType
		c, _ := f.client(nil)
		_, _, err := c.Repository("a").Referrers(t.Context(), subject)
		if !errors.Is(err, ErrNoList) || !usererror.Is(err, usererror.RegistryRefused) || !strings.Contains(err.Error(), "sha256-aaaa") {
			t.Errorf("%s: %v", content, err)
		}
	}
}

// Pages of nothing are no list, and are not kept; a list that is too long is an error, so
// that nobody writes the fallback tag anew without it.
func TestHostileReferrers(t *testing.T) {
	_, d := blobOf(3)
	subject := "sha512:" + strings.Repeat("a", 128)
	entry := `{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"` + d.Digest.String() + `","size":3}`
	page := func(element string, n int) string {
		return `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[` + strings.TrimSuffix(strings.Repeat(element+",", n), ",") + `]}`
	}
	for name, c := range map[string]struct {
		body string
		next bool
	}{
		"nulls": {page("null", 800_000), false}, "objects": {page("{}", 1_000_000), false}, "numbers": {page("0", 2_000_000), false},
		"pages without end": {page(entry, 1000), true},
	} {
		for _, api := range []bool{true, false} {
			f := newFake(t)
			pages := 0
			f.hook = func(w http.ResponseWriter, r *http.Request) bool {
				if !strings.Contains(r.URL.Path, "/referrers/") {
					return false
				}
				if !api {
					w.WriteHeader(http.StatusNotFound)
					return true
				}
				pages++
				if c.next {
					w.Header().Set("Link", "<"+r.URL.Path+`>; rel="next"`)
				}
				_, _ = w.Write([]byte(c.body))
				return true
			}
			key := "a:sha512-" + strings.Repeat("a", 64) // the name that is written, too
			f.manifests[key], f.types[key] = []byte(c.body), "application/vnd.oci.image.index.v1+json"
			cl, _ := f.client(nil)
			ds, _, err := cl.Repository("a").Referrers(t.Context(), subject)
			if c.next && !api { // one page of a real list
				if err != nil || len(ds) != 1000 {
					t.Errorf("%s: %d, %v", name, len(ds), err)
				}
				continue
			}
			if err == nil || !strings.Contains(err.Error(), "too many") || pages > 11 {
				t.Errorf("%s, by the API %v: %d after %d pages, %v", name, api, len(ds), pages, err)
			}
		}
	}
}

func TestOpenBlob(t *testing.T) {
	data, d := blobOf(300 << 10)
	for name, ranges := range map[string]bool{"with ranges": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.blobs["a@"+d.Digest.String()] = data
			f.hook = func(_ http.ResponseWriter, r *http.Request) bool {
				if !ranges {
					r.Header.Del("Range")
				}
				return false
			}
			c, _ := f.client(nil)
			for _, offset := range []int64{0, 1, 1000, d.Size - 1, d.Size} {
				received := int64(0)
				ctx := WithReceived(t.Context(), func(n int64) { received += n })
				body, err := c.Repository("a").OpenBlob(ctx, d, offset)
				if err != nil {
					t.Fatal(err)
				}
				got, err := io.ReadAll(body)
				_ = body.Close()
				if err != nil || !bytes.Equal(got, data[offset:]) {
					t.Errorf("from %d: %d bytes, %v", offset, len(got), err)
				}
				want := d.Size - offset
				if !ranges && offset < d.Size { // at the end nothing is asked for
					want = d.Size
				}
				if received != want {
					t.Errorf("from %d: %d bytes were received, %d counted", offset, want, received)
				}
			}
			if _, err := c.Repository("b").OpenBlob(t.Context(), d, 0); !errors.Is(err, ErrNotFound) {
				t.Errorf("a blob that is not there: %v", err)
			}
		})
	}
	t.Run("broken off", func(t *testing.T) {
		f := newFake(t)
		f.hook = func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.Contains(r.URL.Path, "/blobs/") {
				return false
			}
			w.Header().Set("Content-Length", fmt.Sprint(d.Size))
			_, _ = w.Write(data[:1000])
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}
		c, _ := f.client(nil)
		body, err := c.Repository("a").OpenBlob(t.Context(), d, 0)
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.Copy(io.Discard, body)
		_ = body.Close()
		if !Retryable(err) {
			t.Errorf("a break of the connection: %v", err)
		}
	})
}

func TestImmutableTags(t *testing.T) {
	for name, test := range map[string]struct {
		status        int
		code, message string
		cond          Condition
		want          error
	}{
		"ECR":           {400, "ImageTagAlreadyExistsException", "The image tag 'v1' already exists", Condition{}, ErrImmutable},
		"ECR, spec":     {400, "TAG_INVALID", "The image tag 'v1' already exists in the 'a' repository and cannot be overwritten because the tag is immutable.", Condition{}, ErrImmutable},
		"Harbor":        {412, "PRECONDITION", "Failed to process request due to 'v1' configured as immutable.", Condition{}, ErrImmutable},
		"Harbor, asked": {412, "PRECONDITION", "Failed to process request due to 'v1' configured as immutable.", Condition{IfNoneMatch: true}, ErrImmutable},
		"condition":     {412, "", "", Condition{IfMatch: "sha256:1"}, ErrPrecondition},
		"denied":        {403, "DENIED", "tag is immutable", Condition{}, ErrImmutable},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.hook = func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method != http.MethodPut {
					return false
				}
				refuse(w, test.status, test.code, test.message)
				return true
			}
			c, _ := f.client(nil)
			_, err := c.Repository("a").PutManifest(t.Context(), "v1", []byte("{}"), "x/y", test.cond)
			if !errors.Is(err, test.want) {
				t.Errorf("PutManifest: %v, want %v", err, test.want)
			}
		})
	}
}

func TestPermissionAnswers(t *testing.T) {
	for name, test := range map[string]struct {
		status        int
		code, message string
		want          usererror.Code
	}{
		"denied":    {403, "DENIED", "permission_denied: write_package", usererror.NoPushPermission},
		"read only": {405, "UNSUPPORTED", "The operation is unsupported.", usererror.RegistryRefused},
		"unknown":   {404, "NAME_UNKNOWN", "The repository with name 'a' does not exist in the registry with id '1'", usererror.RepositoryMissing},
		"ECR":       {400, "", "RepositoryNotFoundException: nothing there", usererror.RepositoryMissing},
		"AWS":       {403, "", "not authorized to perform: ecr:InitiateLayerUpload because no identity-based policy allows it", usererror.NoPushPermission},
		// What more rights would not change.
		"Harbor's quota":    {403, "DENIED", "adding 1 MiB of storage resource, which when updated to current usage of 10 MiB will exceed the configured upper limit of 10 MiB", usererror.RegistryRefused},
		"Quay's quota":      {403, "DENIED", "Quota has been exceeded on namespace", usererror.RegistryRefused},
		"a limit":           {403, "DENIED", "registry contains 1 repositories, limit is 1", usererror.RegistryRefused},
		"Harbor, read only": {403, "DENIED", "The system is in read only mode. Any modification is prohibited.", usererror.RegistryRefused},
		"read only, loose":  {403, "DENIED", "The registry is read only.", usererror.RegistryRefused},
		"Quay, read only":   {405, "DENIED", "System is currently read-only. Pulls will succeed but all write operations are currently suspended.", usererror.RegistryRefused},
		"Azure":             {403, "UNAUTHORIZED", "The operation is disallowed.", usererror.RegistryRefused},
		"no owner":          {404, "", "owner does not exist", usererror.RegistryRefused},
		"no project":        {404, "NOT_FOUND", "project nothing not found", usererror.RegistryRefused},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.hook = func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method == http.MethodPost {
					refuse(w, test.status, test.code, test.message)
					return true
				}
				return false
			}
			c, _ := f.client(nil)
			err := c.Repository("a").StartUpload(t.Context())
			if !usererror.Is(err, test.want) || !strings.Contains(err.Error(), test.message) {
				t.Errorf("StartUpload: %v, want %s", err, test.want)
			}
		})
	}
}

// Once pushing is allowed, a refusal is no matter of rights: the registry's own words, no
// advice to give write access.
func TestRefusalsAfterThePermission(t *testing.T) {
	const index = "application/vnd.oci.image.index.v1+json"
	for name, test := range map[string]struct {
		ref           string
		status        int
		code, message string
		want          usererror.Code
		also          string
	}{
		"a tag":             {"v1", 403, "DENIED", "not today", usererror.TagRefused, ""},
		"a manifest":        {"", 403, "DENIED", "not today", usererror.RegistryRefused, ""},
		"a kind":            {"", 415, "", "", usererror.MediaTypeRefused, index},
		"a kind, in words":  {"v1", 400, "MANIFEST_INVALID", "media type is not allowed", usererror.MediaTypeRefused, index},
		"a kind, by a code": {"", 400, "UNSUPPORTED", "no", usererror.MediaTypeRefused, index},
		"a kind, forbidden": {"", 403, "DENIED", "mediaType not permitted", usererror.MediaTypeRefused, index},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.hook = func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method == http.MethodPut {
					refuse(w, test.status, test.code, test.message)
				}
				return r.Method == http.MethodPut
			}
			c, _ := f.client(nil)
			r := c.Repository("a")
			if err := r.StartUpload(t.Context()); err != nil {
				t.Fatal(err)
			}
			ref := test.ref
			if ref == "" {
				ref = digestText("sha256", []byte("{}"))
			}
			_, err := r.PutManifest(t.Context(), ref, []byte("{}"), index, Condition{})
			if !usererror.Is(err, test.want) || !strings.Contains(err.Error(), test.message) || !strings.Contains(err.Error(), test.also) {
				t.Errorf("%v, want %s", err, test.want)
			}
		})
	}
}

func TestDeleteTag(t *testing.T) {
	for status, want := range map[int]error{202: nil, 404: ErrNotFound, 405: ErrUnsupported, 400: ErrUnsupported} {
		f := newFake(t)
		f.hook = func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodDelete {
				w.WriteHeader(status)
				return true
			}
			return false
		}
		c, _ := f.client(nil)
		if err := c.Repository("a").DeleteTag(t.Context(), "v1"); !errors.Is(err, want) || want == nil && err != nil {
			t.Errorf("%d: %v, want %v", status, err, want)
		}
	}
	f := newFake(t)
	c, _ := f.client(nil)
	if err := c.Repository("a").DeleteTag(t.Context(), "sha256:"+strings.Repeat("0", 64)); err == nil || f.requests("DELETE") != 0 {
		t.Errorf("a digest: %v", err)
	}
}

func TestRateLimitHeaders(t *testing.T) {
	f := newFake(t)
	f.hook = func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("ratelimit-limit", "100;w=21600")
		w.Header().Set("ratelimit-remaining", "76;w=21600")
		return false
	}
	c, _ := f.client(nil)
	if c.Stats().RateLimit != nil {
		t.Error("a limit out of nowhere")
	}
	_, _ = c.Repository("a").Stat(t.Context(), "v1")
	if got := c.Stats().RateLimit; got == nil || *got != (RateLimit{Limit: 100, Remaining: 76, Window: 6 * time.Hour}) {
		t.Errorf("RateLimit = %v", got)
	}
}
