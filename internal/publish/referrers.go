package publish

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multi-registry-push/multi-registry-push/internal/image"
	"github.com/multi-registry-push/multi-registry-push/internal/jsondoc"
	"github.com/multi-registry-push/multi-registry-push/internal/source"
	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

// mostReferrers bounds what is copied along with an image: a source could name new
// referrers of referrers for ever.
const mostReferrers = 1000

// referrersAtOnce is how many manifests a source is asked for referrers of at a time.
const referrersAtOnce = 8

// collectReferrers returns what refers to the image or to any manifest below it, and
// what refers to those: an SBOM can be signed, too.
func collectReferrers(ctx context.Context, from *source.Image, root *source.Manifest) ([]source.Referrer, error) {
	var out []source.Referrer
	asked := map[v1.Hash]bool{}
	for open := image.ChildrenFirst(root); len(open) > 0; {
		var ask []*source.Manifest
		for _, m := range open {
			if !asked[m.Descriptor.Digest] {
				asked[m.Descriptor.Digest] = true
				ask = append(ask, m)
			}
		}
		found := make([][]source.Referrer, len(ask))
		errs := make([]error, len(ask))
		limited(referrersAtOnce, indexes(ask), func(i int) { found[i], errs[i] = from.Referrers(ctx, ask[i]) })
		if err := errors.Join(errs...); err != nil {
			return nil, err
		}
		open = nil
		for _, e := range slices.Concat(found...) {
			if len(out) == mostReferrers {
				return nil, usererror.New(usererror.SourceUnsupported, "",
					fmt.Sprintf("more than %d manifests refer to the image",
						mostReferrers), "Copy the image without `referrers: true`, or remove some.", nil)
			}
			out = append(out, e)
			open = append(open, image.ChildrenFirst(e.Manifest)...)
		}
	}
	return out, nil
}

// referrerUpdates returns the tags that make t find referrers: cosign's, and, where the
// registry lacks the referrers API, the fallback tag of each subject. Updates without a
// manifest only tell what is passed over.
func (r *run) referrerUpdates(ctx context.Context, t *target) []*tagUpdate {
	bySubject := map[v1.Hash][]*source.Manifest{}
	var subjects []v1.Hash
	var updates []*tagUpdate
	for _, e := range t.image.referrers {
		d := e.Manifest.Descriptor
		switch {
		case e.Tag != "":
			updates = append(updates, &tagUpdate{
				t: t, tag: e.Tag, raw: e.Manifest.Raw, mediaType: string(d.MediaType), digest: d.Digest,
				signature: e.Manifest,
			})
		case e.Manifest.Subject != nil:
			subject := e.Manifest.Subject.Digest
			if bySubject[subject] == nil {
				subjects = append(subjects, subject)
			}
			bySubject[subject] = append(bySubject[subject], e.Manifest)
		}
	}
	if r.PushByDigest {
		for _, u := range updates {
			u.passOver()
		}
	}
	var mu sync.Mutex
	var g group
	signatures := slices.Clone(updates)
	g.run(func() { r.lookUpAll(ctx, t, signatures, r.lookUp) })
	for _, subject := range subjects {
		g.run(func() {
			u, err := r.fallbackUpdate(ctx, t, subject, bySubject[subject])
			if err != nil {
				r.failWithin(ctx, t, err)
			}
			if u != nil {
				mu.Lock()
				defer mu.Unlock()
				updates = append(updates, u)
			}
		})
	}
	g.wait()
	for _, u := range updates {
		if u.signature != nil && u.raw != nil && !t.out() {
			r.keepSignatures(ctx, u)
		}
	}
	return updates
}

// passOver makes u one that only tells that its referrers are not copied.
func (u *tagUpdate) passOver() {
	u.passedOver = append(u.passedOver, u.digest)
	u.raw = nil
}

// fallbackUpdate is fallbackTag under a slot for small requests. By digest no tag is
// written, so that the referrers are passed over.
func (r *run) fallbackUpdate(ctx context.Context, t *target, subject v1.Hash,
	referrers []*source.Manifest) (u *tagUpdate, err error) {
	within, cancel := t.within(ctx)
	defer cancel()
	u, err = fallbackTag(within, t, subject, referrers)
	if err != nil || u == nil {
		return nil, err
	}
	if r.PushByDigest {
		for _, m := range referrers {
			u.passedOver = append(u.passedOver, m.Descriptor.Digest)
		}
		u.raw = nil
		return u, nil
	}
	return u, r.lookUp(within, u)
}

// keepSignatures decides whether a signature's tag moves. One that holds a signature which
// the source's lacks is kept: nobody could get that back. Nor does one move that
// immutable-tags protects.
func (r *run) keepSignatures(ctx context.Context, u *tagUpdate) {
	if u.before == "" || u.stays() {
		return
	}
	why := ""
	if r.mustStay(u.tag) {
		why = "immutable-tags protects it"
	} else {
		holds, err := u.holdsOthers(ctx)
		switch {
		case err != nil:
			r.failWithin(ctx, u.t, err)
			return
		case holds:
			why = "it holds a signature that the source does not have"
		}
	}
	if why == "" {
		return
	}
	r.note(Note{Host: u.t.Repository.Host, Warning: true}, fmt.Sprintf("%s is kept as it is: %s", u, why))
	u.t.registry.results.change(func(out *RegistryResult) { out.Referrers.Kept++ })
	u.kept = true
	u.passOver()
}

// holdsOthers reports whether what the tag serves holds a layer, which is what cosign writes
// for a signature, that is not in ours. Two keys sign the same payload: their layers have one
// digest, and the signature stands in the annotations (cosign, specs/SIGNATURE_SPEC.md).
func (u *tagUpdate) holdsOthers(ctx context.Context) (bool, error) {
	raw, _, err := u.t.client.Manifest(ctx, u.before)
	if isMissing(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	var ours v1.Manifest
	var theirs struct {
		Layers    []v1.Descriptor   `json:"layers"`
		Manifests []json.RawMessage `json:"manifests"`
	}
	if jsondoc.Unmarshal(raw, &theirs) != nil || jsondoc.Unmarshal(u.signature.Raw, &ours) != nil ||
		len(theirs.Manifests) > 0 {
		return true, nil // not what cosign writes: nobody can tell what it is good for
	}
	return slices.ContainsFunc(theirs.Layers, func(d v1.Descriptor) bool {
		return !slices.ContainsFunc(ours.Layers, func(o v1.Descriptor) bool {
			return o.Digest == d.Digest && maps.Equal(o.Annotations, d.Annotations)
		})
	}), nil
}

// lookAtSignature looks at a signature's tag right before it is written: another job may have
// signed meanwhile.
func (r *run) lookAtSignature(ctx context.Context, u *tagUpdate) error {
	was := u.before
	if err := r.lookAgain(ctx, u); err != nil {
		return err
	}
	if u.before != was {
		r.keepSignatures(ctx, u)
	}
	return nil
}

// countReferrers counts what refers to the image and is passed over, and in a dry run what would be
// copied: else that is counted as it is written.
func (t *target) countReferrers(dryRun bool) {
	var copied, passed int
	for _, e := range t.image.referrers {
		d := e.Manifest.Descriptor.Digest
		var over, kept bool
		for _, u := range t.extra {
			over = over || slices.Contains(u.passedOver, d)
			kept = kept || u.kept && u.digest == d
		}
		switch {
		case kept:
		case over:
			passed++
		case dryRun && (t.movesTagOf(d) || lacks(t.missing, e.Manifest)):
			copied++
		}
	}
	t.registry.results.change(func(out *RegistryResult) {
		out.Referrers.Copied += copied
		out.Referrers.PassedOver += passed + t.image.passedOver
	})
}

// movesTagOf reports whether digest is a signature whose tag is to move.
func (t *target) movesTagOf(digest v1.Hash) bool {
	return slices.ContainsFunc(t.extra, func(u *tagUpdate) bool {
		return u.signature != nil && u.digest == digest && !u.stays()
	})
}

// countCopied counts a manifest that was written, if it refers to the image. A signature whose tag moves
// counts with its tag.
func (t *target) countCopied(m *source.Manifest) {
	digest := m.Descriptor.Digest
	refers := func(e source.Referrer) bool { return e.Manifest.Descriptor.Digest == digest }
	if slices.ContainsFunc(t.image.referrers, refers) && !t.movesTagOf(digest) {
		t.registry.results.change(func(out *RegistryResult) { out.Referrers.Copied++ })
	}
}
