package publish

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/multi-registry-push/multi-registry-push/internal/image"
	"github.com/multi-registry-push/multi-registry-push/internal/registry"
	"github.com/multi-registry-push/multi-registry-push/internal/source"
)

// fallbackTag returns the move that adds referrers to the fallback index of subject
// (OCI distribution spec, "Referrers Tag Schema"), keeping what others have put there. It
// returns nil where the registry has the API, or the index names them all.
func fallbackTag(ctx context.Context, t *target, subject v1.Hash, referrers []*source.Manifest) (*tagUpdate, error) {
	there, api, err := t.client.Referrers(ctx, subject.String())
	if err != nil && !errors.Is(err, registry.ErrNotFound) {
		return nil, err
	}
	if api {
		return nil, nil
	}
	added := false
	for _, m := range referrers {
		if !slices.ContainsFunc(there, func(d v1.Descriptor) bool { return d.Digest == m.Descriptor.Digest }) {
			there = append(there, m.ReferrerDescriptor())
			added = true
		}
	}
	if !added {
		return nil, nil
	}
	raw, err := json.Marshal(v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: there})
	if err != nil {
		return nil, err
	}
	digest, _, err := v1.SHA256(strings.NewReader(string(raw)))
	if err != nil {
		return nil, err
	}
	return &tagUpdate{
		t: t, tag: image.FallbackTag(subject), raw: raw, mediaType: string(types.OCIImageIndex), digest: digest,
		renew: func(ctx context.Context) (*tagUpdate, error) { return fallbackTag(ctx, t, subject, referrers) },
	}, nil
}

// refresh adds ours to the list as it is now. With changed, what it served before is
// looked up anew in any case.
func (r *run) refresh(ctx context.Context, u *tagUpdate, changed bool) error {
	now, err := u.renew(ctx)
	switch {
	case err != nil:
		return err
	case now == nil: // somebody has named ours
		u.before = u.digest.String()
		return nil
	case now.digest == u.digest && !changed:
		return nil
	}
	u.raw, u.digest = now.raw, now.digest
	return r.lookAgain(ctx, u)
}

// listLooks is how many looks in a row a list has to stand that was written. Without
// conditions, somebody who read it before we wrote may write it later, without ours; the
// pauses between the looks are longer than that takes.
const listLooks = 3

// listed makes sure that the list goes on naming ours, and writes it again where it does not.
func (r *run) listed(ctx context.Context, u *tagUpdate) error {
	for try, good := 0, 0; ; try++ {
		now, err := u.renew(ctx)
		switch {
		case err != nil:
			return err
		case now == nil:
			if good++; good == listLooks {
				return nil
			}
		case try > 0: // the first time, the list may only be shown late
			good = 0
			if _, err := u.t.client.PutManifest(ctx, u.tag, now.raw, now.mediaType, registry.Condition{}); err != nil {
				return err
			}
		}
		if try == len(r.deps.VerifyPauses) || !pause(ctx, r.deps.VerifyPauses[try]) {
			if now == nil {
				return nil
			}
			return errors.New("it does not name what was added to it")
		}
	}
}
