package redact

import (
	"slices"
	"strings"
)

// Bounds on what one registry can make the redactor remember and the log hold.
const (
	// leastIssued is the length, in bytes, below which what a registry sent hides nothing.
	leastIssued = 16
	// mostIssued is how many tokens of one registry are remembered, the latest.
	mostIssued = 64
	// mostIssuedBytes bounds them together; a token that is longer is remembered by its
	// beginning.
	mostIssuedBytes = 128 << 10
	// mostMaskedBytes bounds the forms that are masked for one registry.
	mostMaskedBytes = 512 << 10
)

// issued is what one registry and its token service sent.
type issued struct {
	tokens []token // the oldest first
	bytes  int
	masked int // bytes of the forms that were handed to the runner
}

type token struct {
	value    string
	patterns []pattern
}

// ValidToken reports whether s is spelled as a bearer token may be: RFC 6750, section
// 2.1, b64token.
func ValidToken(s string) bool {
	rest := strings.TrimLeft(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/")
	return len(rest) < len(s) && strings.Trim(rest, "=") == ""
}

// Public takes values that the run shows everywhere: registries, repositories, tags,
// references, digests. What a registry sent is not masked where one of them holds it. Call
// it before the first request, and again for what turns out later.
func (r *Redactor) Public(values ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, v := range values {
		if v != "" && !r.public[v] {
			r.public[v] = true
			r.lines.Store(nil)
		}
	}
}

// isPublic reports whether a public value holds s. The caller holds mu.
func (r *Redactor) isPublic(s string) bool {
	for p := range r.public {
		if strings.Contains(p, s) {
			return true
		}
	}
	return false
}

// LearnIssued takes what a registry, its token service or a provider sent as a secret; host is
// the registry's, as the user wrote it, or the provider's. It is redacted, unless it is shorter than 16 bytes, and
// masked where no public value holds it. The last tokens of each host are remembered.
func (r *Redactor) LearnIssued(host string, s Text) {
	value := s.Reveal()
	value = value[:min(len(value), mostIssuedBytes)]
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(value) < leastIssued {
		if len(r.short) < mostIssued {
			r.short[value] = true
		}
		return
	}
	if slices.ContainsFunc(r.given, func(g given) bool { return g.value == value }) {
		return
	}
	known := r.issued[host]
	if known == nil {
		known = &issued{}
		r.issued[host] = known
	}
	if i := slices.IndexFunc(known.tokens, func(t token) bool { return t.value == value }); i >= 0 {
		again := known.tokens[i] // the latest
		known.tokens = append(slices.Delete(known.tokens, i, i+1), again)
		return
	}
	known.tokens = append(known.tokens, token{value, patterns("", value)})
	known.bytes += len(value)
	for len(known.tokens) > mostIssued || known.bytes > mostIssuedBytes {
		known.bytes -= len(known.tokens[0].value)
		known.tokens = slices.Delete(known.tokens, 0, 1)
	}
	r.current.Store(nil) // lines are not searched for it
	r.maskIssued(known, forms("", value), value)
}

// learnedIssued reports whether a registry sent the value before: then it stays known as that
// alone, and only its forms with a user name are new. The caller holds mu.
func (r *Redactor) learnedIssued(user, value string) bool {
	if r.short[value] {
		return true
	}
	for _, known := range r.issued {
		if slices.ContainsFunc(known.tokens, func(t token) bool { return t.value == value }) {
			r.maskIssued(known, forms(user, value), value)
			return true
		}
	}
	return false
}

// maskIssued hands the forms of a token to the runner, as far as no public value holds
// one of them and the registry has not sent too much already. Digits alone could be part
// of a digest that is not known yet.
func (r *Redactor) maskIssued(known *issued, all []string, value string) {
	if r.onMask == nil || known.masked >= mostMaskedBytes || strings.Trim(value, "0123456789abcdef") == "" {
		return
	}
	all = slices.DeleteFunc(all, func(form string) bool { return r.masked[form] })
	size := 0
	for _, form := range all {
		size += len(form)
		if r.isPublic(form) {
			return
		}
	}
	if known.masked += size; known.masked > mostMaskedBytes {
		known.masked = mostMaskedBytes
		return
	}
	for _, form := range all {
		r.masked[form] = true
		r.mask(form)
	}
}
