package redact

import "strings"

// RedactLine is Redact for a whole line that we wrote: words and values of ours, and between
// them free text that was redacted when it came. It is the last net, for free text that was
// forgotten, and must leave alone what is public: it looks neither for what registries sent,
// who would choose what the log shows, nor for secrets that a public value holds or that are
// one word of small letters, such as "failed".
func (r *Redactor) RedactLine(text string) string {
	m := r.lines.Load()
	if m == nil {
		m = r.lineMatcher()
	}
	return r.redact(text, m)
}

func (r *Redactor) lineMatcher() *matcher {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []pattern
	for _, g := range r.given {
		if whole := strings.TrimSpace(g.value); !isWord(whole) && !r.isPublic(whole) {
			all = append(all, g.patterns...)
		}
	}
	m := newMatcher(all)
	r.lines.Store(m)
	return m
}

// isWord reports whether s could be a word of a sentence of ours.
func isWord(s string) bool {
	return strings.Trim(s, "abcdefghijklmnopqrstuvwxyz") == ""
}
