package report

import (
	"encoding/json"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/multi-registry-push/multi-registry-push/internal/publish"
)

// MaxResults is what the output `results` is kept below, in bytes of UTF-16: the runner
// counts so, and takes 1 MB of outputs a job.
const MaxResults = 400_000

// JSON returns the results in one line. Where they are above limit, in bytes of UTF-16,
// they leave out references that are unchanged, then what each served before, then the
// other references, and say so by "truncated": true. A limit of 0 is none.
func JSON(r publish.Result, limit int) string {
	res := resultsOf(r)
	text := marshal(res)
	for _, cut := range []func(*RegistryResult){cutUnchanged, cutBefore, cutReferences} {
		if limit == 0 || utf16Bytes(text) <= limit {
			break
		}
		res.Truncated = true
		for i := range res.Registries {
			cut(&res.Registries[i])
		}
		text = marshal(res)
	}
	return text
}

func marshal(v any) string {
	b, err := json.Marshal(v)
	if err != nil { // there is nothing in it that cannot be marshalled
		return "{}"
	}
	return string(b)
}

func cutUnchanged(g *RegistryResult) {
	g.References = slices.DeleteFunc(g.References, func(ref ReferenceResult) bool { return ref.Status == Unchanged })
}

func cutBefore(g *RegistryResult) {
	for i := range g.References {
		g.References[i].withoutBefore = true
	}
}

func cutReferences(g *RegistryResult) { g.References = []ReferenceResult{} }

// utf16Bytes returns the length of a text in UTF-16, where characters beyond the first
// plane take four bytes.
func utf16Bytes(s string) int {
	n := 2 * utf8.RuneCountInString(s)
	for _, c := range s {
		if c > 0xFFFF {
			n += 2
		}
	}
	return n
}

// Outputs returns the step's outputs by name.
func Outputs(r publish.Result) map[string]string {
	var pushed, skipped, failed, held []string
	for _, g := range r.Registries {
		if !r.DryRun {
			for _, ref := range g.References {
				if r.Serves(ref) {
					pushed = append(pushed, ref.Reference)
				}
			}
		}
		switch g.Status() {
		case Skipped:
			skipped = append(skipped, g.Host)
		case Failed:
			failed = append(failed, g.Host)
		case HeldBack:
			held = append(held, g.Host)
		case Pushed, Unchanged, Planned:
		}
	}
	return map[string]string{
		"digest":    resultsOf(r).Digest,
		"digests":   digests(r),
		"pushed":    strings.Join(pushed, "\n"),
		"skipped":   strings.Join(skipped, "\n"),
		"failed":    strings.Join(failed, "\n"),
		"held-back": strings.Join(held, "\n"),
		"results":   JSON(r, MaxResults),
	}
}

// digests is a JSON object, image name to digest, of the images whose digest is known.
func digests(r publish.Result) string {
	all := map[string]string{}
	for i, image := range r.Images {
		if image.Digest != "" {
			all[imageName(r, i)] = image.Digest
		}
	}
	return marshal(all)
}
