package publish

import (
	"context"
	"errors"

	"github.com/multi-registry-push/multi-registry-push/internal/registry"
)

// maxOldBytes bounds what is kept of manifests that tags served before: a registry may make
// each of them 4 MiB, and real ones take a few KiB.
const maxOldBytes = 16 << 20

// keepOld gets the manifest that the tag serves now, so that it can be put back even if the
// registry forgets what has no tag. Where that would take too much memory it is not kept: putOld
// asks for it then.
func (r *run) keepOld(ctx context.Context, u *tagUpdate) error {
	announced := max(u.beforeSize, 0)
	if u.before == "" || u.stays() || u.tag == "" || !r.old.TryAcquire(announced) {
		return nil
	}
	raw, d, err := u.t.client.Manifest(ctx, u.before)
	r.old.Release(announced)
	if err == nil && r.old.TryAcquire(d.Size) {
		u.old, u.oldType = raw, string(d.MediaType)
	}
	if errors.Is(err, registry.ErrNotFound) {
		return nil // it cannot be put back then, which is put down if it comes to that
	}
	return err
}

// putOld puts back the manifest that the tag served before. Those that were not kept are asked for
// one after the other.
func (r *run) putOld(ctx context.Context, u *tagUpdate, cond registry.Condition) error {
	raw, mediaType := u.old, u.oldType
	if raw == nil {
		r.putOldMu.Lock()
		defer r.putOldMu.Unlock()
		found, d, err := u.t.client.Manifest(ctx, u.before)
		switch {
		case errors.Is(err, registry.ErrNotFound):
			return errors.New("the manifest that it served is gone")
		case err != nil:
			return err
		}
		raw, mediaType = found, string(d.MediaType)
	}
	_, err := u.t.client.PutManifest(ctx, u.tag, raw, mediaType, cond)
	return err
}
