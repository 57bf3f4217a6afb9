package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/multi-registry-push/multi-registry-push/internal/registry/transport"
)

// accept lists every kind of manifest: a registry converts, or says 404, when the
// kind it has is missing. The last is for kinds to come.
var accept = strings.Join([]string{
	string(types.OCIImageIndex),
	string(types.OCIManifestSchema1),
	string(types.DockerManifestList),
	string(types.DockerManifestSchema2),
	"application/vnd.oci.artifact.manifest.v1+json",
	string(types.DockerManifestSchema1Signed),
	"*/*;q=0.1",
}, ", ")

const digestHeader = "Docker-Content-Digest"

type receivedKey struct{}

// WithReceived returns a context whose calls tell received of the bytes of blobs and manifests as they
// arrive, those included that are of no use: of an attempt that breaks off, and before the offset where
// the registry ignores ranges. Of several calls received may be called at once.
func WithReceived(ctx context.Context, received func(n int64)) context.Context {
	return context.WithValue(ctx, receivedKey{}, received)
}

// receivedBody tells of what is read.
type receivedBody struct {
	io.ReadCloser
	received func(n int64)
}

func (b receivedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.received(int64(n))
	return n, err
}

// Manifest reads a manifest by tag or digest: its bytes as they are, and their
// descriptor. The digest is computed, and compared with ref if that is one and with
// what the registry announced: DigestMismatch. ErrNotFound if there is none; ManifestTooLarge
// above 4 MiB.
func (r *Repository) Manifest(ctx context.Context, ref string) (raw []byte, d v1.Descriptor, err error) {
	doing := "reading manifest " + short(ref)
	raw, d, err = r.manifest(ctx, doing, ref, nil)
	if err != nil {
		return nil, v1.Descriptor{}, r.explain(ctx, doing, false, err)
	}
	return raw, d, nil
}

// manifest is Manifest with errors as they come. q may be nil.
func (r *Repository) manifest(
	ctx context.Context, doing, ref string, q *question,
) (raw []byte, d v1.Descriptor, err error) {
	err = r.retrying(ctx, doing, func(ctx context.Context) error {
		resp, err := r.once(ctx, call{
			doing: doing, method: http.MethodGet, url: r.at("/manifests/"+ref, nil),
			header: http.Header{"Accept": {accept}}, count: true,
		})
		if err != nil {
			return q.failed(ctx, err)
		}
		defer resp.Body.Close()
		if resp.ContentLength > maxManifest {
			return r.tooLarge(ref)
		}
		raw, err = r.c.documents.read(ctx, resp.Body)
		if err != nil {
			return err
		}
		if len(raw) > maxManifest {
			return r.tooLarge(ref)
		}
		d, err = r.describe(ref, raw, resp.Header)
		return err
	})
	return raw, d, err
}

func (r *Repository) tooLarge(ref string) error {
	return r.failed(ManifestTooLarge, "manifest "+short(ref)+" is larger than 4 MiB", nil)
}

// describe checks a manifest's bytes against ref and headers.
func (r *Repository) describe(ref string, raw []byte, h http.Header) (v1.Descriptor, error) {
	announced := h.Get(digestHeader)
	algorithm := "sha256"
	if want, err := v1.NewHash(ref); err == nil {
		algorithm = want.Algorithm
	} else if want, err := v1.NewHash(announced); err == nil {
		algorithm = want.Algorithm
	}
	digest, err := digestOf(algorithm, raw)
	if err != nil {
		return v1.Descriptor{}, err
	}
	expected := announced
	if strings.Contains(ref, ":") {
		expected = ref
	}
	// An announced digest of another algorithm than ours cannot be compared.
	if expected != "" && expected != digest.String() &&
		(expected == ref || strings.HasPrefix(expected, algorithm+":")) {
		return v1.Descriptor{}, r.failed(DigestMismatch,
			fmt.Sprintf("manifest %s has the digest %s, not %s", short(ref), digest, r.c.host.Redact(expected)), nil)
	}
	var head struct {
		MediaType string          `json:"mediaType"`
		Manifests json.RawMessage `json:"manifests"`
	}
	_ = json.Unmarshal(raw, &head) // whoever reads the manifest says what is wrong with it
	mediaType := mediaTypeOf(h)
	switch {
	case strings.Contains(mediaType, "vnd."):
	case head.MediaType != "":
		mediaType = head.MediaType
	case head.Manifests != nil:
		mediaType = string(types.OCIImageIndex)
	default:
		mediaType = string(types.OCIManifestSchema1)
	}
	return v1.Descriptor{MediaType: types.MediaType(transport.Cut(mediaType)), Digest: digest,
		Size: int64(len(raw))}, nil
}

func mediaTypeOf(h http.Header) string {
	mediaType, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil {
		return ""
	}
	return mediaType
}

// retrying is retry for calls whose answer's body is part of the attempt.
func (r *Repository) retrying(ctx context.Context, doing string, attempt func(context.Context) error) error {
	if err := r.c.host.Probe(ctx); err != nil {
		return err
	}
	return r.c.host.Retry(ctx, r.path+": "+doing, attempt)
}

// OpenBlob reads a blob from offset on, in one go: whoever reads goes on from where
// a break left off by opening again (Retryable tells whether that makes sense). The
// digest is not checked; more bytes than d.Size are not read. ErrNotFound if there
// is none.
func (r *Repository) OpenBlob(ctx context.Context, d v1.Descriptor, offset int64) (io.ReadCloser, error) {
	doing := "reading blob " + short(d.Digest.String())
	if offset >= d.Size && d.Size > 0 {
		return io.NopCloser(bytes.NewReader(nil)), nil
	}
	resp, err := r.do(ctx, func() call {
		k := call{
			doing: doing, method: http.MethodGet, url: r.at("/blobs/"+d.Digest.String(), nil),
			header: http.Header{}, bulk: d.Size >= transport.LargeBody, count: true,
			want: []int{http.StatusOK, http.StatusPartialContent},
		}
		if offset > 0 {
			k.header.Set("Range", fmt.Sprintf("bytes=%d-", offset))
		}
		return k
	})
	if err != nil {
		return nil, r.explain(ctx, doing, false, err)
	}
	start := int64(0)
	if resp.StatusCode == http.StatusPartialContent {
		var ok bool
		if start, ok = contentRangeStart(resp.Header.Get("Content-Range")); !ok || start > offset {
			_ = resp.Body.Close()
			got := r.c.host.Redact(resp.Header.Get("Content-Range"))
			return nil, r.explain(ctx, doing, false, fmt.Errorf("asked for bytes from %d on, got %q", offset, got))
		}
	}
	body := &blobBody{ReadCloser: resp.Body, r: r, ctx: ctx, doing: doing, left: d.Size - start}
	// A server that does not know ranges sends everything: skip what is known.
	if skip := offset - start; skip > 0 {
		if _, err := io.CopyN(io.Discard, body, skip); err != nil {
			_ = body.Close()
			if transport.Transient(err) { // a break, as any while reading
				return nil, err
			}
			return nil, r.explain(ctx, doing, false, err)
		}
	}
	return body, nil
}

// blobBody ends where the descriptor says that the blob does.
type blobBody struct {
	io.ReadCloser
	r     *Repository
	ctx   context.Context //nolint:containedctx // io.Reader has no place for it
	doing string
	left  int64
}

func (b *blobBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		// One byte more than announced is one too many: it is not the blob.
		var one [1]byte
		if n, _ := io.ReadFull(b.ReadCloser, one[:]); n > 0 {
			return 0, b.r.failed(DigestMismatch, b.doing+": longer than its descriptor says", nil)
		}
		return 0, io.EOF
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	if err == io.EOF && b.left > 0 { //nolint:errorlint // wrapped, it is no end
		err = io.ErrUnexpectedEOF
	}
	if err == io.EOF && n > 0 { //nolint:errorlint // wrapped, it is no end
		err = nil
	}
	if err != nil && err != io.EOF && b.ctx.Err() != nil { //nolint:errorlint // wrapped, it is no end
		err = context.Cause(b.ctx)
	}
	return n, err
}

// contentRangeStart reads "bytes 5-9/10" (RFC 9110, 14.4).
func contentRangeStart(value string) (int64, bool) {
	rest, ok := strings.CutPrefix(strings.TrimSpace(value), "bytes ")
	if !ok {
		return 0, false
	}
	first, _, ok := strings.Cut(rest, "-")
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseInt(strings.TrimSpace(first), 10, 64)
	return n, err == nil && n >= 0
}

// short cuts a digest to what people recognise it by; tags stay whole.
func short(ref string) string {
	if algorithm, hex, ok := strings.Cut(ref, ":"); ok && len(hex) > 12 {
		return algorithm + ":" + hex[:12]
	}
	return ref
}
