package report

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// amount writes bytes in decimal units: 512 B, 1.2 kB, 314.6 MB.
func amount(n int64) string {
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	divisor, unit := unitOf(n)
	return fmt.Sprintf("%.1f %s", float64(n)/divisor, unit)
}

// portion writes bytes of a total in the unit of the total: 0.3 of 314.6 MB.
func portion(done, total int64) string {
	if total < 1000 {
		return fmt.Sprintf("%d of %d B", done, total)
	}
	divisor, unit := unitOf(total)
	return fmt.Sprintf("%.1f of %.1f %s", float64(done)/divisor, float64(total)/divisor, unit)
}

// unitOf returns the unit for 1000 bytes and more, and how many bytes it is.
func unitOf(n int64) (divisor float64, unit string) {
	divisor = 1000
	for _, unit = range []string{"kB", "MB", "GB"} {
		if float64(n)/divisor < 999.95 {
			return divisor, unit
		}
		divisor *= 1000
	}
	return divisor, "TB"
}

// What is sent below these says nothing of a link's speed: it is all round trips.
const (
	leastMeasured = 1_000_000 // bytes
	leastTimed    = 500 * time.Millisecond
)

// rate writes bytes per second, and nothing where that says nothing.
func rate(bytes int64, d time.Duration) string {
	if bytes < leastMeasured || d < leastTimed {
		return ""
	}
	return amount(int64(float64(bytes)/d.Seconds())) + "/s"
}

// count writes a number with its noun: 1 tag, 2 tags.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	if base, ok := strings.CutSuffix(noun, "y"); ok {
		return fmt.Sprintf("%d %sies", n, base)
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// short writes a digest so that people can compare it: sha256:0123456789ab.
func short(digest string) string {
	algorithm, hex, ok := strings.Cut(digest, ":")
	if !ok || len(hex) <= 12 {
		return digest
	}
	return algorithm + ":" + hex[:12]
}

// oneLine puts a text of several lines into one.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// bounded cuts a text to at most limit bytes, and says so by an ellipsis.
func bounded(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	cut := max(limit-len("…"), 0)
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}

// identifierOf returns the tag of host/repository:tag, or the short digest of
// host/repository@digest.
func identifierOf(reference string) string {
	if _, digest, ok := strings.Cut(reference, "@"); ok {
		return short(digest)
	}
	slash, colon := strings.LastIndexByte(reference, '/'), strings.LastIndexByte(reference, ':')
	if colon > slash {
		return reference[colon+1:]
	}
	return ""
}

// repositoryOf returns host/repository of host/repository:tag or host/repository@digest.
func repositoryOf(reference string) string {
	if repository, _, ok := strings.Cut(reference, "@"); ok {
		return repository
	}
	if tag := identifierOf(reference); tag != "" {
		return strings.TrimSuffix(reference, ":"+tag)
	}
	return reference
}

// tags returns references without their registry, which stands before them.
func tags(references []string) []string {
	var out []string
	for _, ref := range references {
		_, rest, ok := strings.Cut(ref, "/")
		if !ok {
			rest = ref
		}
		if repository, digest, ok := strings.Cut(rest, "@"); ok {
			rest = repository + "@" + short(digest)
		}
		out = append(out, rest)
	}
	return out
}

// lastComponent returns what stands behind the last slash.
func lastComponent(repository string) string {
	return repository[strings.LastIndexByte(repository, '/')+1:]
}
