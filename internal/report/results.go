package report

import (
	"cmp"
	"encoding/json"

	"github.com/multi-registry-push/multi-registry-push/internal/publish"
)

// Results is the output `results`. Fields are only ever added.
type Results struct {
	Digest     string           `json:"digest"`
	MediaType  string           `json:"mediaType"`
	Platforms  []string         `json:"platforms"`
	SizeBytes  int64            `json:"sizeBytes"`
	Images     []ImageResult    `json:"images"`
	Source     SourceResult     `json:"source"`
	Sources    []SourceResult   `json:"sources,omitempty"` // the parts of merged images
	DurationMs int64            `json:"durationMs"`
	Registries []RegistryResult `json:"registries"`
	Truncated  bool             `json:"truncated,omitempty"` // references are left out, or what was before
}

// ImageResult is one image, as it was read.
type ImageResult struct {
	Name      string   `json:"name"`
	Reference string   `json:"reference"`
	Digest    string   `json:"digest"`
	MediaType string   `json:"mediaType"`
	Platforms []string `json:"platforms"`
	SizeBytes int64    `json:"sizeBytes"`
	Error     string   `json:"error"`
}

// SourceResult says what was read. BytesRead counts what came from remote sources,
// manifests included; it is 0 for local ones.
type SourceResult struct {
	Reference string `json:"reference"`
	Image     string `json:"image,omitempty"` // of a part: which it went into
	BytesRead int64  `json:"bytesRead"`
	Requests  int64  `json:"requests"`
}

// RegistryResult is the outcome of one registry.
type RegistryResult struct {
	Registry             string            `json:"registry"`
	Status               Status            `json:"status"`
	Reason               string            `json:"reason"`
	DurationMs           int64             `json:"durationMs"`
	Images               []string          `json:"images"`     // what serves the digest now
	References           []ReferenceResult `json:"references"` // every one that was asked for
	Blobs                BlobCounts        `json:"blobs"`
	BytesUploaded        int64             `json:"bytesUploaded"`
	BytesMissing         int64             `json:"bytesMissing"` // of a dry run
	RepositoriesToCreate []string          `json:"repositoriesToCreate"`
	Referrers            ReferrerCounts    `json:"referrers"`
	Repaired             int               `json:"repaired"`
	Requests             int64             `json:"requests"`
	Retries              int64             `json:"retries"`
	RateLimit            *RateLimit        `json:"rateLimit"` // null when the registry named none
}

// ReferenceResult is the outcome of one reference. Digest is that of its image; Before and
// Now are what the reference served and serves.
type ReferenceResult struct {
	Reference string `json:"reference"`
	Image     string `json:"image"`
	Digest    string `json:"digest"`
	Status    Status `json:"status"`
	Before    string `json:"before"`
	Now       string `json:"now"`
	Reason    string `json:"reason"`

	withoutBefore bool
}

// MarshalJSON leaves before out where the results are truncated that far.
func (r ReferenceResult) MarshalJSON() ([]byte, error) {
	type plain ReferenceResult
	if !r.withoutBefore {
		return json.Marshal(plain(r))
	}
	return json.Marshal(struct {
		plain
		Before *string `json:"before,omitempty"`
	}{plain: plain(r)})
}

// BlobCounts says how a registry came by its blobs, and in a dry run what it lacks.
type BlobCounts struct {
	Uploaded int `json:"uploaded"`
	Mounted  int `json:"mounted"`
	Existing int `json:"existing"`
	Missing  int `json:"missing"`
}

// ReferrerCounts says what became of what refers to the images.
type ReferrerCounts struct {
	Copied     int `json:"copied"`
	Kept       int `json:"kept"`
	PassedOver int `json:"passedOver"`
}

// RateLimit is what a registry says of pulls.
type RateLimit struct {
	Limit     int `json:"limit"`
	Remaining int `json:"remaining"`
}

// resultsOf returns the output `results` as values.
func resultsOf(r publish.Result) Results {
	res := Results{
		Platforms:  []string{},
		Images:     []ImageResult{},
		Source:     SourceResult{BytesRead: r.Source.BytesRead, Requests: r.Source.Requests},
		DurationMs: r.End.Sub(r.Start).Milliseconds(),
		Registries: []RegistryResult{},
	}
	for i, image := range r.Images {
		one := imageResult(r, i)
		res.Images = append(res.Images, one)
		for n, part := range image.Parts {
			use := image.PartUses[n]
			res.Sources = append(res.Sources, SourceResult{part, one.Name, use.BytesRead, use.Requests})
		}
	}
	if len(res.Images) == 1 { // of several there is no one digest
		image := res.Images[0]
		res.Digest, res.MediaType = image.Digest, image.MediaType
		res.Platforms, res.SizeBytes = image.Platforms, image.SizeBytes
		res.Source.Reference = image.Reference
	}
	for _, g := range r.Registries {
		res.Registries = append(res.Registries, registryResult(r, g))
	}
	return res
}

func imageResult(r publish.Result, i int) ImageResult {
	image := r.Images[i]
	one := ImageResult{
		Name:      imageName(r, i),
		Reference: image.Reference,
		Digest:    image.Digest,
		MediaType: image.MediaType,
		Platforms: append([]string{}, image.Platforms...),
		SizeBytes: image.SizeBytes,
	}
	if image.Failure != nil {
		one.Error = explain("", *image.Failure).coded()
	}
	return one
}

func registryResult(r publish.Result, g publish.RegistryResult) RegistryResult {
	status, why := g.Status(), reason(g)
	res := RegistryResult{
		Registry:             g.Host,
		Status:               status,
		Reason:               why,
		DurationMs:           elapsed(g).Milliseconds(),
		Images:               []string{},
		References:           []ReferenceResult{},
		Blobs:                BlobCounts(g.Blobs),
		BytesUploaded:        g.BytesUploaded,
		BytesMissing:         g.BytesMissing,
		RepositoriesToCreate: append([]string{}, g.ToCreate...),
		Referrers:            ReferrerCounts{g.Referrers.Copied, g.Referrers.Kept, g.Referrers.PassedOver},
		Repaired:             g.Repaired,
		Requests:             g.Requests,
		Retries:              g.Retries,
	}
	if l := g.RateLimit; l != nil {
		res.RateLimit = &RateLimit{Limit: l.Limit, Remaining: l.Remaining}
	}
	for _, ref := range g.References {
		if r.Serves(ref) {
			res.Images = append(res.Images, ref.Reference)
		}
		one := ReferenceResult{Reference: ref.Reference, Image: imageName(r, ref.Image), Digest: r.Digest(ref.Image),
			Status: ref.Status, Before: ref.Before, Now: ref.Now, Reason: oneLine(string(ref.Reason))}
		if one.Status == "" { // nothing is known of it: the registry failed before
			one.Status, one.Reason = status, cmp.Or(one.Reason, why)
		}
		res.References = append(res.References, one)
	}
	return res
}

// imageName returns the name of an image: its own, else the last component of the first
// repository that it goes to.
func imageName(r publish.Result, i int) string {
	if i < 0 || i >= len(r.Images) {
		return ""
	}
	if name := r.Images[i].Name; name != "" {
		return name
	}
	for _, g := range r.Registries {
		for _, ref := range g.References {
			if ref.Image == i {
				return lastComponent(repositoryOf(ref.Reference))
			}
		}
	}
	return ""
}
