package report

import (
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// Results is the output `results`. Fields are only ever added.
type Results struct {
	Digest     string           `json:"digest"`
	MediaType  string           `json:"mediaType"`
	Platforms  []string         `json:"platforms"`
	SizeBytes  int64            `json:"sizeBytes"`
	Source     SourceResult     `json:"source"`
	DurationMs int64            `json:"durationMs"`
	Registries []RegistryResult `json:"registries"`
}

// SourceResult says what was read. BytesRead counts what came from a remote source,
// manifests included; it is 0 for local ones.
type SourceResult struct {
	Reference string `json:"reference"`
	BytesRead int64  `json:"bytesRead"`
	Requests  int64  `json:"requests"`
}

// RegistryResult is the outcome of one registry.
type RegistryResult struct {
	Registry      string            `json:"registry"`
	Status        Status            `json:"status"`
	Reason        string            `json:"reason"`
	DurationMs    int64             `json:"durationMs"`
	Images        []string          `json:"images"`     // what serves the digest now
	References    []ReferenceResult `json:"references"` // every tag that was asked for
	Blobs         BlobCounts        `json:"blobs"`
	BytesUploaded int64             `json:"bytesUploaded"`
	Requests      int64             `json:"requests"`
	Retries       int64             `json:"retries"`
	RateLimit     *RateLimit        `json:"rateLimit"` // null when the registry named none
}

// ReferenceResult is the outcome of one tag. Before and Now are digests.
type ReferenceResult struct {
	Reference string `json:"reference"`
	Status    Status `json:"status"`
	Before    string `json:"before"`
	Now       string `json:"now"`
	Reason    string `json:"reason"`
}

// BlobCounts says how a registry came by its blobs.
type BlobCounts struct {
	Uploaded int `json:"uploaded"`
	Mounted  int `json:"mounted"`
	Existing int `json:"existing"`
}

// Results returns what is known so far; after Finished that is everything.
func (r *Record) Results() Results {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.results()
}

func (r *Record) results() Results {
	res := Results{
		Digest:     r.source.Digest,
		MediaType:  r.source.MediaType,
		Platforms:  append([]string{}, r.source.Platforms...),
		SizeBytes:  r.source.SizeBytes,
		Source:     SourceResult{Reference: r.source.Reference, BytesRead: r.read.BytesRead, Requests: r.read.Requests},
		DurationMs: r.elapsed().Milliseconds(),
		Registries: []RegistryResult{},
	}
	for _, g := range r.registries {
		res.Registries = append(res.Registries, r.result(g))
	}
	return res
}

func (r *Record) result(g *registry) RegistryResult {
	status, reason := r.status(g)
	res := RegistryResult{
		Registry:      g.host,
		Status:        status,
		Reason:        reason,
		DurationMs:    g.duration().Milliseconds(),
		Images:        []string{},
		References:    []ReferenceResult{},
		Blobs:         BlobCounts{Uploaded: g.uploaded, Mounted: g.mounted, Existing: g.existing},
		BytesUploaded: g.bytesUploaded(),
		Requests:      g.requests,
		Retries:       g.retries,
		RateLimit:     g.rateLimit,
	}
	for _, ref := range g.references {
		if r.serves(ref) {
			res.Images = append(res.Images, ref.name)
		}
		one := ReferenceResult{Reference: ref.name, Status: ref.status, Before: ref.before, Now: ref.now, Reason: ref.reason}
		if one.Status == "" { // nothing was said of it: the registry failed before
			one.Status, one.Reason = status, reason
		}
		res.References = append(res.References, one)
	}
	return res
}

// serves reports whether the tag points at what was published, whichever way it came
// to: one that could not be put back does, too.
func (r *Record) serves(ref *reference) bool {
	return ref.status == Pushed || ref.status == Unchanged || ref.status == Failed && ref.now != "" && ref.now == r.source.Digest
}

// bytesUploaded is what the client counted, or, before it said anything, the sum of
// what was sent.
func (g *registry) bytesUploaded() int64 {
	if g.counted {
		return g.uploadedBytes
	}
	return g.blobBytesSent()
}

// blobBytesSent is what log, table and summary call sent: the blobs, like what was reused
// beside it and the speed. bytesUploaded is more by the manifests, and by what was lost on
// the way.
func (g *registry) blobBytesSent() int64 { return max(g.sent, 0) }

func (g *registry) duration() time.Duration {
	if g.start.IsZero() {
		return 0
	}
	return g.end.Sub(g.start)
}

// elapsed is the time from the first event to the last, or to now.
func (r *Record) elapsed() time.Duration {
	switch {
	case r.first.IsZero():
		return 0
	case r.finished.IsZero():
		return r.now().Sub(r.first)
	}
	return r.finished.Sub(r.first)
}

// JSON returns the results in one line.
func (res Results) JSON() string {
	b, err := json.Marshal(res)
	if err != nil { // there is nothing in it that cannot be marshalled
		return "{}"
	}
	return string(b)
}

// Outputs returns the step's outputs: digest, pushed, skipped, failed, results.
func (r *Record) Outputs() map[string]string {
	r.mu.Lock()
	defer r.mu.Unlock()
	res := r.results()
	var pushed, skipped, failed []string
	for _, g := range res.Registries {
		if !r.dryRun {
			pushed = append(pushed, g.Images...)
		}
		switch g.Status {
		case Skipped:
			skipped = append(skipped, g.Registry)
		case Failed:
			failed = append(failed, g.Registry)
		}
	}
	return map[string]string{
		"digest":  res.Digest,
		"pushed":  strings.Join(pushed, "\n"),
		"skipped": strings.Join(skipped, "\n"),
		"failed":  strings.Join(failed, "\n"),
		"results": res.JSON(),
	}
}

// longestReason bounds what one error adds to a reason, in bytes.
const longestReason = 1000

// joinErrors puts errors into one line, each once.
func joinErrors(errs []error) string {
	var texts []string
	for _, err := range errs {
		if text := bounded(oneLine(err.Error()), longestReason); !slices.Contains(texts, text) {
			texts = append(texts, text)
		}
	}
	return strings.Join(texts, "; ")
}

func firstOf(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}

// copyTime is how long the registry's copy phase took.
func (g *registry) copyTime() (d time.Duration) {
	for _, s := range g.phases {
		if s.phase == Copy && !s.end.IsZero() {
			d += s.end.Sub(s.start)
		}
	}
	return d
}
