package image

import v1 "github.com/google/go-containerregistry/pkg/v1"

// CosignSuffixes end the tags that cosign derives from a digest.
var CosignSuffixes = [...]string{"sig", "att", "sbom"}

// CosignTag returns ALGORITHM-HEX.SUFFIX.
func CosignTag(h v1.Hash, suffix string) string {
	return h.Algorithm + "-" + h.Hex + "." + suffix
}

// FallbackTag returns the tag under which referrers of a digest are listed where a registry
// lacks the referrers API: ALGORITHM-HEX, the algorithm cut to 32 and the hex to 64
// characters (OCI distribution spec 1.1, "Referrers Tag Schema").
func FallbackTag(h v1.Hash) string {
	return h.Algorithm[:min(len(h.Algorithm), 32)] + "-" + h.Hex[:min(len(h.Hex), 64)]
}
