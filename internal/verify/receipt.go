package verify

import (
	"fmt"

	"github.com/multi-registry-push/multi-registry-push/internal/imageref"
	"github.com/multi-registry-push/multi-registry-push/internal/jsondoc"
	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

// Largest is how many bytes of results are worth reading.
const Largest = 64 << 20

// Receipt is what results say was published.
type Receipt struct {
	Published []Published
	Truncated bool // results left out references: GitHub takes no more than 1 MB of outputs
}

// Published is a reference that was pushed, or was there already.
type Published struct {
	Reference imageref.Reference
	Digest    string
}

// results are the fields of the JSON that a run writes which tell what was published
// (docs/results.md).
type results struct {
	Digest string `json:"digest"`
	Images []struct {
		Name   string `json:"name"`
		Digest string `json:"digest"`
	} `json:"images"`
	Registries []struct {
		References []struct {
			Reference string `json:"reference"`
			Image     string `json:"image"`
			Digest    string `json:"digest"`
			Status    string `json:"status"`
		} `json:"references"`
	} `json:"registries"`
	Truncated bool `json:"truncated"`
}

// ParseReceipt reads results, as the output of that name or --output json has them; name is
// where they come from. The error is a *usererror.Problem.
func ParseReceipt(name, text string) (Receipt, error) {
	invalid := func(what string) (Receipt, error) {
		return Receipt{}, usererror.New(usererror.InvalidInput, "", fmt.Sprintf("verify: %s: %s", name, what),
			"Give it the output results of a run, or what --output json printed.", nil)
	}
	var parsed *results
	if err := jsondoc.Unmarshal([]byte(text), &parsed); err != nil || parsed == nil || parsed.Registries == nil {
		return invalid("these are not results")
	}
	receipt := Receipt{Truncated: parsed.Truncated}
	for _, registry := range parsed.Registries {
		for _, r := range registry.References {
			if r.Status != "pushed" && r.Status != "unchanged" {
				continue
			}
			ref, err := imageref.ParseSource(r.Reference)
			if err != nil {
				return invalid("these are not results")
			}
			digest := parsed.digestOf(r.Image, r.Digest, ref)
			if digest == "" {
				return invalid(fmt.Sprintf("the digest of %s is missing", ref))
			}
			receipt.Published = append(receipt.Published, Published{Reference: ref, Digest: digest})
		}
	}
	return receipt, nil
}

// digestOf returns the digest that a reference was given.
func (r *results) digestOf(image, digest string, ref imageref.Reference) string {
	switch {
	case digest != "":
		return digest
	case ref.Digest != "":
		return ref.Digest
	case image == "":
		return r.Digest
	}
	for _, i := range r.Images {
		if i.Name == image {
			return i.Digest
		}
	}
	return r.Digest
}
