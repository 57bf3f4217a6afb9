package registry

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multi-registry-push/multi-registry-push/internal/registry/auth"
	"github.com/multi-registry-push/multi-registry-push/internal/registry/transport"
)

// Condition makes a manifest's write depend on what is there. Registries may
// ignore it.
type Condition struct {
	IfNoneMatch bool   // only if there is nothing
	IfMatch     string // only if there is this digest
	// Whole says that the registry is known to have all that the manifest points at: it
	// took it, or showed it. One that says otherwise has not seen it everywhere yet, and
	// is asked a few times more.
	Whole bool
}

// mostUnseen is how often a manifest is written again after the registry said that it
// lacks what it was given: some seconds in all.
const mostUnseen = 4

// PutResult is what a registry says of a manifest it took.
type PutResult struct {
	// Subject is the OCI-Subject header: the registry has the referrers API and
	// has filed the manifest under this digest. Empty: maintain the fallback tag.
	Subject string
}

// PutManifest writes a manifest under a tag or its digest. A condition that did not
// hold is ErrPrecondition; a tag that the registry itself protects is ErrImmutable; a
// *MissingContentError says that the registry lacks what the manifest points at.
func (r *Repository) PutManifest(
	ctx context.Context, ref string, raw []byte, mediaType string, cond Condition,
) (PutResult, error) {
	w := manifestWrite{r: r, ref: ref, raw: raw, mediaType: mediaType, cond: cond}
	w.doing = "writing manifest " + short(ref)
	if w.isTag = !strings.Contains(ref, ":"); w.isTag {
		w.doing = "writing tag " + ref
	}
	if len(raw) > maxManifest {
		return PutResult{}, r.tooLarge(ref)
	}
	if err := r.retrying(ctx, w.doing, w.try); err != nil {
		if w.isThereAlready(ctx, err) {
			return w.result, nil
		}
		return PutResult{}, w.explain(ctx, err)
	}
	r.wrote(ref)
	return w.result, nil
}

// manifestWrite is one manifest on its way.
type manifestWrite struct {
	r         *Repository
	doing     string
	ref       string
	isTag     bool
	raw       []byte
	mediaType string
	cond      Condition

	tries  int
	unseen int // times that the registry did not see what it has
	result PutResult
}

// try writes the manifest, once.
func (w *manifestWrite) try(ctx context.Context) error {
	w.tries++
	header := http.Header{"Content-Type": {w.mediaType}}
	if w.cond.IfNoneMatch {
		header.Set("If-None-Match", "*")
	}
	if w.cond.IfMatch != "" {
		header.Set("If-Match", `"`+w.cond.IfMatch+`"`)
	}
	resp, err := w.r.once(ctx, call{
		doing: w.doing, method: http.MethodPut, url: w.r.at("/manifests/"+w.ref, nil), header: header,
		body: &outgoing{content: manifestBytes(w.raw), size: int64(len(w.raw))},
		need: auth.Access{Write: true}, commit: true,
	})
	if answer, ok := errors.AsType[*Error](err); ok && lacksContent(answer) {
		lacking := missingContent(answer)
		if w.cond.Whole && w.unseen < mostUnseen {
			w.unseen++
			return &transport.RetryError{Err: lacking}
		}
		return lacking
	}
	if err != nil {
		return err
	}
	transport.Drain(resp)
	w.result.Subject = transport.Cut(resp.Header.Get("OCI-Subject"))
	if got, err := v1.NewHash(resp.Header.Get(digestHeader)); err == nil {
		if want, err := digestOf(got.Algorithm, w.raw); err == nil && got != want {
			return w.r.failed(DigestMismatch,
				fmt.Sprintf("%s: the registry took it as %s, its digest is %s", w.doing, got, want), nil)
		}
	}
	return nil
}

// protected reports whether the registry says that the tag must not move.
func (w *manifestWrite) protected(e *Error) bool {
	return w.isTag && immutable(e, w.cond.IfNoneMatch || w.cond.IfMatch != "")
}

// isThereAlready reports whether what is in the way is ours: the write whose answer was
// lost.
func (w *manifestWrite) isThereAlready(ctx context.Context, err error) bool {
	var answer *Error
	if w.tries < 2 || !errors.As(err, &answer) || !w.protected(answer) &&
		answer.Status != http.StatusPreconditionFailed {
		return false
	}
	d, err := w.r.Stat(ctx, w.ref)
	if err != nil {
		return false
	}
	digest, err := digestOf(d.Digest.Algorithm, w.raw)
	return err == nil && d.Digest == digest
}

// explain returns err as an *OperationError.
func (w *manifestWrite) explain(ctx context.Context, err error) error {
	var answer *Error
	if !errors.As(err, &answer) || answer.TokenService || transport.TransientStatus(answer.Status) {
		return w.r.explain(ctx, w.doing, true, err)
	}
	rights := (answer.Status == http.StatusUnauthorized || answer.Status == http.StatusForbidden) &&
		!w.r.allowed(answer)
	switch {
	case w.protected(answer):
		return w.r.failed(TagImmutable, w.doing, fmt.Errorf("%w: %w", ErrImmutable, answer))
	case answer.Status == http.StatusPreconditionFailed:
		return w.r.failed(TagRefused, w.doing, fmt.Errorf("%w: %w", ErrPrecondition, answer))
	case refusesMediaType(answer):
		return w.r.failed(MediaTypeRefused, w.doing+": the registry does not take "+w.mediaType, err)
	case w.isTag && !rights && !missing(answer):
		return w.r.failed(TagRefused, w.doing, err)
	}
	return w.r.explain(ctx, w.doing, true, err)
}

// digestOf returns the digest of raw.
func digestOf(algorithm string, raw []byte) (v1.Hash, error) {
	hasher, err := v1.Hasher(algorithm)
	if err != nil {
		return v1.Hash{}, err
	}
	_, _ = hasher.Write(raw) // never fails: hash.Hash
	return v1.Hash{Algorithm: algorithm, Hex: hex.EncodeToString(hasher.Sum(nil))}, nil
}

// DeleteTag removes a tag by its name. ErrNotFound if there is none; ErrUnsupported
// where the registry does not delete tags: never is a digest deleted, which would
// take other tags with it.
func (r *Repository) DeleteTag(ctx context.Context, tag string) error {
	doing := "removing tag " + tag
	if strings.Contains(tag, ":") {
		return r.failed(TagRefused, doing+": not a tag", ErrUnsupported)
	}
	tries := 0
	err := r.retrying(ctx, doing, func(ctx context.Context) error {
		tries++
		resp, err := r.once(ctx, call{
			doing: doing, method: http.MethodDelete, url: r.at("/manifests/"+tag, nil),
			need: auth.Access{Write: true, Remove: true},
		})
		if err != nil {
			return err
		}
		transport.Drain(resp)
		return nil
	})
	if err == nil {
		return nil
	}
	if answer, ok := errors.AsType[*Error](err); ok {
		switch {
		case answer.Status == http.StatusNotFound && tries > 1:
			return nil // gone by the try whose answer was lost
		case answer.Status == http.StatusMethodNotAllowed, answer.Status == http.StatusNotImplemented,
			answer.Status == http.StatusBadRequest,
			answer.Code == codeUnsupported, answer.Code == codeDigestInvalid:
			return r.failed(TagRefused, doing, fmt.Errorf("%w: %w", ErrUnsupported, answer))
		}
	}
	return r.explain(ctx, doing, true, err)
}
