package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multi-registry-push/multi-registry-push/internal/registry/auth"
	"github.com/multi-registry-push/multi-registry-push/internal/registry/transport"
	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
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
// hold is ErrPrecondition; a tag that the registry itself protects is ErrImmutable.
func (r *Repository) PutManifest(ctx context.Context, ref string, raw []byte, mediaType string, cond Condition) (PutResult, error) {
	doing := "writing manifest " + short(ref)
	isTag := !strings.Contains(ref, ":")
	if isTag {
		doing = "writing tag " + ref
	}
	if len(raw) > maxManifest {
		return PutResult{}, r.tooLarge(ref)
	}
	header := http.Header{"Content-Type": {mediaType}}
	if cond.IfNoneMatch {
		header.Set("If-None-Match", "*")
	}
	if cond.IfMatch != "" {
		header.Set("If-Match", `"`+cond.IfMatch+`"`)
	}
	tries, unseen := 0, 0
	var result PutResult
	err := r.reading(ctx, doing, func(ctx context.Context) error {
		tries++
		resp, err := r.once(ctx, call{
			doing: doing, method: http.MethodPut, url: r.at("/manifests/"+ref, nil), header: header,
			body: &outgoing{content: manifestBytes(raw), size: int64(len(raw))}, need: auth.Access{Write: true}, commit: true,
		})
		if cond.Whole && lacksContent(err) && unseen < mostUnseen {
			unseen++
			return &transport.RetryError{Err: err}
		}
		if err != nil {
			return err
		}
		transport.Drain(resp)
		result.Subject = transport.Cut(resp.Header.Get("OCI-Subject"))
		if got, err := v1.NewHash(resp.Header.Get(digestHeader)); err == nil {
			if want := digestOf(got.Algorithm, raw); want != "" && got.String() != want {
				return usererror.New(usererror.DigestMismatch, r.c.o.Host, fmt.Sprintf("%s: %s: the registry took it as %s, its digest is %s", r, doing, got, want), "", nil)
			}
		}
		return nil
	})
	if err == nil {
		r.wrote(ref)
		return result, nil
	}
	var answer *Error
	if errors.As(err, &answer) && !transport.TransientStatus(answer.Status) {
		conditional := cond.IfNoneMatch || cond.IfMatch != ""
		protected := isTag && immutable(answer, conditional)
		if tries > 1 && (protected || answer.Status == http.StatusPreconditionFailed) {
			// What is in the way may be ours: the write whose answer was lost.
			if d, err := r.Stat(ctx, ref); err == nil && d.Digest.String() == digestOf(d.Digest.Algorithm, raw) {
				return result, nil
			}
		}
		switch {
		case protected:
			return PutResult{}, usererror.New(usererror.ImmutableTag, r.c.o.Host, r.String()+": "+doing, "", fmt.Errorf("%w: %w", ErrImmutable, answer))
		case answer.Status == http.StatusPreconditionFailed:
			return PutResult{}, usererror.New(usererror.TagRefused, r.c.o.Host, r.String()+": "+doing, "", fmt.Errorf("%w: %w", ErrPrecondition, answer))
		case isTag && answer.Status != http.StatusUnauthorized && answer.Status != http.StatusForbidden && !missing(answer):
			return PutResult{}, usererror.New(usererror.TagRefused, r.c.o.Host, r.String()+": "+doing, "", err)
		}
	}
	return PutResult{}, r.explain(ctx, doing, true, err)
}

// lacksContent reports whether a registry says that it does not have what a manifest
// points at.
func lacksContent(err error) bool {
	var answer *Error
	if !errors.As(err, &answer) || answer.Status != http.StatusBadRequest && answer.Status != http.StatusNotFound {
		return false
	}
	switch answer.Code {
	case codeContentUnknown, codeBlobUnknown, codeManifestUnknown:
		return true
	}
	return false
}

// immutable recognises a registry's own protection of tags: ECR says TAG_INVALID or
// ImageTagAlreadyExistsException, Harbor 412 (to a PUT that had no condition) or
// DENIED, others say it in words.
func immutable(e *Error, conditional bool) bool {
	words := strings.ToLower(e.Code + " " + e.Message)
	switch {
	case strings.Contains(words, "immutable"), strings.Contains(words, "imagetagalreadyexists"), strings.Contains(words, "cannot be overwritten"):
		return true
	case e.Code == codeTagInvalid && strings.Contains(words, "already exists"):
		return true
	}
	return e.Status == http.StatusPreconditionFailed && !conditional
}

func digestOf(algorithm string, raw []byte) string {
	hasher, err := v1.Hasher(algorithm)
	if err != nil {
		return ""
	}
	_, _ = hasher.Write(raw) // never fails: hash.Hash
	return fmt.Sprintf("%s:%x", algorithm, hasher.Sum(nil))
}

// DeleteTag removes a tag by its name. ErrNotFound if there is none; ErrUnsupported
// where the registry does not delete tags: never is a digest deleted, which would
// take other tags with it.
func (r *Repository) DeleteTag(ctx context.Context, tag string) error {
	doing := "removing tag " + tag
	if strings.Contains(tag, ":") {
		return usererror.New(usererror.TagRefused, r.c.o.Host, r.String()+": "+doing+": not a tag", "", ErrUnsupported)
	}
	tries := 0
	err := r.reading(ctx, doing, func(ctx context.Context) error {
		tries++
		resp, err := r.once(ctx, call{doing: doing, method: http.MethodDelete, url: r.at("/manifests/"+tag, nil), need: auth.Access{Write: true, Remove: true}})
		if err != nil {
			return err
		}
		transport.Drain(resp)
		return nil
	})
	if err == nil {
		return nil
	}
	var answer *Error
	if errors.As(err, &answer) {
		switch {
		case answer.Status == http.StatusNotFound && tries > 1:
			return nil // gone by the try whose answer was lost
		case answer.Status == http.StatusMethodNotAllowed, answer.Status == http.StatusNotImplemented, answer.Status == http.StatusBadRequest,
			answer.Code == codeUnsupported, answer.Code == codeDigestInvalid:
			return usererror.New(usererror.TagRefused, r.c.o.Host, r.String()+": "+doing, "", fmt.Errorf("%w: %w", ErrUnsupported, answer))
		}
	}
	return r.explain(ctx, doing, true, err)
}
