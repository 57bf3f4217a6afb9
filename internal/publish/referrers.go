package publish

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/multi-registry-push/multi-registry-push/internal/registry"
	"github.com/multi-registry-push/multi-registry-push/internal/source"
	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

// mostReferrers bounds what is copied along with an image: a source could name new
// referrers of referrers for ever.
const mostReferrers = 1000

// collectReferrers returns what refers to the image or to any manifest below it, and
// what refers to those: an SBOM can be signed, too.
func collectReferrers(ctx context.Context, image *source.Image, root *source.Manifest) ([]source.Referrer, error) {
	var out []source.Referrer
	asked := map[v1.Hash]bool{}
	open := manifests(root)
	for len(open) > 0 {
		m := open[0]
		open = open[1:]
		if asked[m.Descriptor.Digest] {
			continue
		}
		asked[m.Descriptor.Digest] = true
		found, err := image.Referrers(ctx, m)
		if err != nil {
			return nil, err
		}
		for _, e := range found {
			if len(out) == mostReferrers {
				return nil, usererror.New(usererror.SourceUnsupported, "", fmt.Sprintf("more than %d manifests refer to the image", mostReferrers), "Copy the image without `referrers: true`, or remove some.", nil)
			}
			out = append(out, e)
			open = append(open, manifests(e.Manifest)...)
		}
	}
	return out, nil
}

// referrerTags returns the tags that make t find referrers: cosign's, and, where the
// registry lacks the referrers API, the fallback tag of each subject.
func (r *run) referrerTags(ctx context.Context, t *target, g *goods) ([]*move, error) {
	var moves []*move
	bySubject := map[v1.Hash][]*source.Manifest{}
	var subjects []v1.Hash
	for _, e := range g.referrers {
		if e.Tag != "" {
			d := e.Manifest.Descriptor
			moves = append(moves, &move{t: t, tag: e.Tag, raw: e.Manifest.Raw, mediaType: string(d.MediaType), digest: d.Digest})
			continue
		}
		subject, err := subjectOf(e.Manifest)
		if err != nil {
			return nil, err
		}
		if bySubject[subject] == nil {
			subjects = append(subjects, subject)
		}
		bySubject[subject] = append(bySubject[subject], e.Manifest)
	}
	if r.DryRun {
		return moves, nil // which of them are missing is known from the manifests
	}
	for _, subject := range subjects {
		m, err := fallbackTag(ctx, t, subject, bySubject[subject])
		if err != nil {
			return nil, err
		}
		if m != nil {
			moves = append(moves, m)
		}
	}
	return moves, nil
}

func subjectOf(m *source.Manifest) (v1.Hash, error) {
	var has struct {
		Subject *v1.Descriptor `json:"subject"`
	}
	if err := json.Unmarshal(m.Raw, &has); err != nil || has.Subject == nil {
		return v1.Hash{}, errors.Join(err, errors.New("manifest "+m.Descriptor.Digest.String()+" has no subject"))
	}
	return has.Subject.Digest, nil
}

// fallbackTag returns the move that adds referrers to the fallback index of subject
// (OCI distribution spec, "Referrers Tag Schema"), keeping what others have put there. It
// returns nil where the registry has the API, or the index names them all.
func fallbackTag(ctx context.Context, t *target, subject v1.Hash, referrers []*source.Manifest) (*move, error) {
	there, api, err := t.repository.Referrers(ctx, subject.String())
	if err != nil && !errors.Is(err, registry.ErrNotFound) {
		return nil, err
	}
	if api {
		return nil, nil
	}
	added := false
	for _, m := range referrers {
		if !slices.ContainsFunc(there, func(d v1.Descriptor) bool { return d.Digest == m.Descriptor.Digest }) {
			there = append(there, referrerDescriptor(m))
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
	return &move{
		t: t, tag: subject.Algorithm + "-" + subject.Hex, raw: raw, mediaType: string(types.OCIImageIndex), digest: digest,
		renew: func(ctx context.Context) (*move, error) { return fallbackTag(ctx, t, subject, referrers) },
	}, nil
}

// listTries is how often a list of referrers is written while others write it, too.
const listTries = 3

// refresh adds ours to the list as it is now. With changed, what it served before is
// looked up anew in any case.
func (m *move) refresh(ctx context.Context, keep, changed bool) error {
	now, err := m.renew(ctx)
	switch {
	case err != nil:
		return err
	case now == nil: // somebody has named ours
		m.before = m.digest.String()
		return nil
	case now.digest == m.digest && !changed:
		return nil
	}
	m.raw, m.digest = now.raw, now.digest
	m.before, m.old = "", nil
	return m.lookUp(ctx, keep)
}

// listed makes sure that the list names ours still: somebody who read it before we wrote may
// have written it since, without them.
func (r *run) listed(ctx context.Context, m *move) error {
	for try := 0; ; try++ {
		now, err := m.renew(ctx)
		if err != nil || now == nil {
			return err
		}
		if try > 0 { // the first time, the list may only be shown late
			if _, err := m.t.repository.PutManifest(ctx, m.tag, now.raw, now.mediaType, registry.Condition{}); err != nil {
				return err
			}
		}
		if try == len(r.VerifyPauses) || !pause(ctx, r.VerifyPauses[try]) {
			return errors.New("it does not name what was added to it")
		}
	}
}

// referrerDescriptor is how an index of referrers names m: with its artifact type and
// its annotations.
func referrerDescriptor(m *source.Manifest) v1.Descriptor {
	var says struct {
		ArtifactType string            `json:"artifactType"`
		Config       *v1.Descriptor    `json:"config"`
		Annotations  map[string]string `json:"annotations"`
	}
	_ = json.Unmarshal(m.Raw, &says) // it was read before, when its subject was
	if says.ArtifactType == "" && says.Config != nil {
		says.ArtifactType = string(says.Config.MediaType)
	}
	return v1.Descriptor{
		MediaType: m.Descriptor.MediaType, Size: m.Descriptor.Size, Digest: m.Descriptor.Digest,
		ArtifactType: says.ArtifactType, Annotations: says.Annotations,
	}
}
