package redact

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// Redactor knows every secret of a run, in every form in which it could show up. It is
// safe for concurrent use; looking a text through never waits for Learn.
type Redactor struct {
	onForm func(string)

	learning sync.Mutex // held by Learn, so that each form is announced once
	known    atomic.Pointer[[]string]
}

// NewRedactor returns an empty redactor. onForm, which may be nil, is called once for each
// new form, before Learn returns: in a workflow it prints ::add-mask::. It must not
// call Learn.
func NewRedactor(onForm func(form string)) *Redactor {
	v := &Redactor{onForm: onForm}
	v.known.Store(&[]string{})
	return v
}

// Learn takes a secret, and the user name that it is sent with if there is one, and
// from then on knows all forms of both together. Call it before the secret's first use.
// A secret of one to three characters is known only together with its user name.
func (v *Redactor) Learn(user string, s Text) {
	v.learning.Lock()
	defer v.learning.Unlock()
	known := *v.known.Load()
	var fresh []string
	for _, form := range forms(user, s.Reveal()) {
		if !slices.Contains(known, form) {
			fresh = append(fresh, form)
		}
	}
	if len(fresh) == 0 {
		return
	}
	all := slices.Concat(known, fresh)
	v.known.Store(&all)
	if v.onForm != nil {
		for _, form := range fresh {
			v.onForm(form)
		}
	}
}

// Redact returns text with every known form replaced by ***. Forms that overlap are
// replaced as one, so that no end of one of them stays.
func (v *Redactor) Redact(text string) string {
	return redact(text, find(text, *v.known.Load()))
}

// span is a stretch of a text, in bytes.
type span struct{ from, to int }

// find returns where text holds any of the forms: in order, none touching another.
func find(text string, forms []string) []span {
	var spans []span
	for _, form := range forms {
		for at := 0; ; {
			i := strings.Index(text[at:], form)
			if i < 0 {
				break
			}
			spans = append(spans, span{at + i, at + i + len(form)})
			at += i + 1
		}
	}
	if len(spans) < 2 {
		return spans
	}
	slices.SortFunc(spans, func(a, b span) int { return a.from - b.from })
	joined := spans[:1]
	for _, s := range spans[1:] {
		if last := &joined[len(joined)-1]; s.from < last.to {
			last.to = max(last.to, s.to)
		} else {
			joined = append(joined, s)
		}
	}
	return joined
}

func redact(text string, spans []span) string {
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
