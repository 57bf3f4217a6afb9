package redact

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// Redactor knows the secrets of a run and finds them in free text, however they are
// escaped there. It is safe for concurrent use.
//
// What is public by its nature must not be given to it: digests, registries, repositories,
// tags, statuses, numbers, and the structure of what is written. A registry chooses its
// tokens, and could make such a value unreadable.
type Redactor struct {
	onMask func(form string)

	mu     sync.Mutex // guards all below, and is held while masks are handed out
	given  []given
	masked map[string]bool // forms that were handed out
	issued map[string]*issued
	short  map[string]bool // issued, and too short to hide anything
	public map[string]bool

	current atomic.Pointer[matcher] // nil: what is known has changed
	lines   atomic.Pointer[matcher] // the same, of RedactLine
	buffers sync.Pool               // of *buffer
}

// given is a secret of the user's, with what is looked for to find it.
type given struct {
	user, value string
	patterns    []pattern
}

// NewRedactor returns an empty redactor. onMask, which may be nil, is called for each
// spelling that the runner is to mask, once, before the method that learns the secret
// returns: in a workflow it prints ::add-mask::. It must not call the redactor.
func NewRedactor(onMask func(form string)) *Redactor {
	return &Redactor{
		onMask: onMask, masked: map[string]bool{}, issued: map[string]*issued{}, short: map[string]bool{},
		public: map[string]bool{},
	}
}

// Learn takes a secret that the user gave or that a provider of credentials exchanged for
// one, and the user name that it is sent with if there is one. From then on it is redacted,
// and all its forms are masked. Call it before the secret's first use.
// A secret of one to three bytes is known only together with its user name.
func (r *Redactor) Learn(user string, s Text) {
	r.mu.Lock()
	defer r.mu.Unlock()
	value := s.Reveal()
	if slices.ContainsFunc(r.given, func(g given) bool { return g.user == user && g.value == value }) {
		return
	}
	if r.learnedIssued(user, value) {
		return
	}
	found := patterns(user, value)
	if len(found) == 0 {
		return
	}
	r.given = append(r.given, given{user, value, found})
	r.current.Store(nil)
	r.lines.Store(nil)
	for _, form := range forms(user, value) {
		if !r.masked[form] {
			r.masked[form] = true
			r.mask(form)
		}
	}
}

// mask hands a form to the runner. The caller holds mu.
func (r *Redactor) mask(form string) {
	if r.onMask != nil {
		r.onMask(form)
	}
}

// Clean returns text with the secrets in it replaced by ***, as the type that says so.
func (r *Redactor) Clean(text string) Redacted { return Redacted(r.Redact(text)) }

// Redact returns text with every secret in it replaced by ***, escaped ones and parts of
// long ones included. Secrets that overlap are replaced as one, so that no end of one of
// them stays.
func (r *Redactor) Redact(text string) string { return r.redact(text, r.matcher()) }

func (r *Redactor) redact(text string, m *matcher) string {
	if m.shortest == 0 || len(text) < shortest {
		return text
	}
	b, _ := r.buffers.Get().(*buffer)
	if b == nil {
		b = new(buffer)
	}
	defer r.buffers.Put(b)
	return replace(text, m.spans(text, b))
}

// matcher returns what finds all that is known now.
func (r *Redactor) matcher() *matcher {
	if m := r.current.Load(); m != nil {
		return m
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []pattern
	for _, g := range r.given {
		all = append(all, g.patterns...)
	}
	for _, i := range r.issued {
		for _, t := range i.tokens {
			all = append(all, t.patterns...)
		}
	}
	m := newMatcher(all)
	r.current.Store(m)
	return m
}

func replace(text string, spans []span) string {
	if len(spans) == 0 {
		return text
	}
	var b strings.Builder
	at := 0
	for _, s := range spans {
		b.WriteString(text[at:s.from])
		b.WriteString(mask)
		at = s.to
	}
	b.WriteString(text[at:])
	return b.String()
}
