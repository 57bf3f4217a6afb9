package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/multi-registry-push/multi-registry-push/internal/image"
	"github.com/multi-registry-push/multi-registry-push/internal/jsondoc"
	"github.com/multi-registry-push/multi-registry-push/internal/registry/transport"
)

// Bounds of lists: pages of at most maxManifest bytes each, maxListBytes together, and as
// many referrers as nobody looks at any more.
const (
	maxPages     = 200
	maxListBytes = 32 << 20
	maxReferrers = 10_000
)

// Referrers lists what refers to a digest: by the referrers API, or, where the
// registry does not have it (api is false), what the fallback tag's index lists
// (distribution spec, "Referrers Tag Schema"). None is no error. An ErrNoList of the kind
// NoReferrersList means that this tag serves something else, over which nobody should write.
func (r *Repository) Referrers(ctx context.Context, digest string) (ds []v1.Descriptor, api bool, err error) {
	doing := "listing referrers of " + short(digest)
	pages := 0
	err = r.pages(ctx, doing, func() *url.URL { return r.at("/referrers/"+digest, nil) },
		http.Header{"Accept": {string(types.OCIImageIndex)}},
		func(page []byte) error {
			var index v1.IndexManifest
			err := jsondoc.Unmarshal(page, &index)
			if errors.Is(err, jsondoc.ErrTooMany) {
				return fmt.Errorf("the list of referrers: %w", err)
			}
			if err != nil || !index.MediaType.IsIndex() && index.SchemaVersion != 2 {
				return errNoReferrers
			}
			pages++
			if ds = append(ds, index.Manifests...); len(ds) > maxReferrers {
				return fmt.Errorf("the list of referrers: %w: more than %d", jsondoc.ErrTooMany, maxReferrers)
			}
			return nil
		})
	var answer *Error
	switch {
	case err == nil:
		return ds, true, nil
	case pages > 0: // the registry has the API, and the rest of the list is lacking
		return nil, false, r.explain(ctx, doing, false, err)
	case errors.Is(err, errNoReferrers):
	case errors.As(err, &answer) && hasNoReferrers(answer.Status):
	default:
		return nil, false, r.explain(ctx, doing, false, err)
	}
	tag := image.FallbackTag(hashOf(digest))
	raw, d, err := r.Manifest(ctx, tag)
	if errors.Is(err, ErrNotFound) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	var index v1.IndexManifest
	err = jsondoc.Unmarshal(raw, &index)
	switch {
	case errors.Is(err, jsondoc.ErrTooMany): // it must not be written anew without them
		return nil, false, r.explain(ctx, doing, false, fmt.Errorf("the list of referrers: %w", err))
	case err != nil, !d.MediaType.IsIndex():
		return nil, false, r.failed(NoReferrersList, doing+": tag "+tag, ErrNoList)
	}
	return index.Manifests, false, nil
}

// hasNoReferrers reports whether a status says that there is no referrers API.
func hasNoReferrers(status int) bool {
	switch {
	case status == http.StatusUnauthorized, status == http.StatusForbidden, transport.TransientStatus(status):
		return false
	}
	return status >= 400 && status < 500 || status == http.StatusNotImplemented
}

var errNoReferrers = errors.New("not an answer of the referrers API")

// hashOf takes a digest apart, of whatever algorithm.
func hashOf(digest string) v1.Hash {
	algorithm, hex, _ := strings.Cut(digest, ":")
	return v1.Hash{Algorithm: algorithm, Hex: hex}
}

// Tags lists the repository's tags; none if the repository is not there.
func (r *Repository) Tags(ctx context.Context) ([]string, error) {
	const doing = "listing tags"
	var tags []string
	err := r.pages(ctx, doing, func() *url.URL { return r.at("/tags/list", url.Values{"n": {"1000"}}) }, nil,
		func(page []byte) error {
			var list struct {
				Tags []string `json:"tags"`
			}
			if err := jsondoc.Unmarshal(page, &list); err != nil {
				return fmt.Errorf("not a list of tags: %w", err)
			}
			tags = append(tags, list.Tags...)
			return nil
		})
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	return tags, r.explain(ctx, doing, false, err)
}

// pages reads a list page by page, following Link: <…>; rel="next" within the registry.
func (r *Repository) pages(
	ctx context.Context, doing string, first func() *url.URL, header http.Header, take func([]byte) error,
) error {
	if err := r.c.host.Probe(ctx); err != nil {
		return err
	}
	u, away, read := first(), false, 0
	for range maxPages {
		var page []byte
		var next string
		err := r.retrying(ctx, doing, func(ctx context.Context) error {
			resp, err := r.once(ctx, call{
				doing: doing, method: http.MethodGet, url: u, away: away, header: header, want: []int{http.StatusOK},
			})
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			away = transport.FromElsewhere(resp)
			next = nextLink(strings.Join(resp.Header.Values("Link"), ", "))
			page, err = r.c.documents.read(ctx, resp.Body)
			if err == nil && len(page) > maxManifest {
				err = errors.New("a page of more than 4 MiB")
			}
			return err
		})
		if err != nil {
			return err
		}
		if read += len(page); read > maxListBytes {
			return fmt.Errorf("a list of more than %d MiB", maxListBytes>>20)
		}
		if err := take(page); err != nil {
			return err
		}
		if next == "" {
			return nil
		}
		if u, err = r.c.host.Target(u, next); err != nil {
			return err
		}
		all := r.c.host.Addresses(u)
		if u = all[len(all)-1]; !r.c.host.Owns(u) {
			return &transport.UnsafeError{What: fmt.Sprintf("the list's next page is on %s", u.Host)}
		}
	}
	return fmt.Errorf("a list of more than %d pages", maxPages)
}

// nextLink reads the target of the link with rel="next" among those of a Link header (RFC
// 8288).
func nextLink(value string) string {
	for {
		_, rest, ok := strings.Cut(value, "<")
		if !ok {
			return ""
		}
		target, rest, ok := strings.Cut(rest, ">")
		if !ok {
			return ""
		}
		parameters, _, _ := strings.Cut(rest, "<")
		for parameter := range strings.FieldsFuncSeq(parameters, func(c rune) bool { return c == ';' || c == ',' }) {
			name, relation, _ := strings.Cut(strings.TrimSpace(parameter), "=")
			if strings.EqualFold(name, "rel") && strings.EqualFold(strings.Trim(relation, `"`), "next") {
				return target
			}
		}
		value = rest
	}
}
