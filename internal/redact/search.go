package redact

const (
	// deepest is how many escapes within each other are undone: base64 in JSON in a URL,
	// say.
	deepest = 3
	// mostViews bounds how many ways of reading one text are looked at. A text that was
	// made to have more hides nothing that its maker did not know.
	mostViews = 48
)

// buffer is reused between searches: most texts hold nothing to be found.
type buffer struct{ text, decoded []byte }

// search is one look at one text.
type search struct {
	m     *matcher
	views []*view
	spans []span
}

// spans returns where text gives a pattern away: in order, none overlapping another.
func (m *matcher) spans(text string, b *buffer) []span {
	b.text = append(b.text[:0], text...)
	s := &search{m: m, views: []*view{{text: b.text}}}
	for i := 0; i < len(s.views); i++ {
		s.look(s.views[i], b)
	}
	return join(s.spans)
}

// look searches one view, and base64 in it, and adds what can be decoded further.
func (s *search) look(v *view, b *buffer) {
	s.m.find(v.text, func(from, to int) { s.spans = append(s.spans, v.origin(from, to)) })
	if v.depth < deepest {
		for _, d := range decoders {
			if w, ok := d.apply(v); ok {
				s.add(w)
			}
		}
	}
	base64Runs(v, s.m.shortest, &b.decoded, func(decoded []byte, start int) {
		s.m.find(decoded, func(from, to int) {
			from, to = base64Span(start, from, to)
			for to < len(v.text) && v.text[to] == '=' { // padding tells how long the secret is
				to++
			}
			s.spans = append(s.spans, v.origin(from, to))
		})
		if v.depth < deepest {
			if w, ok := readable(v, decoded, start); ok {
				s.add(w)
			}
		}
	})
}

func (s *search) add(v *view) {
	if len(s.views) < mostViews {
		s.views = append(s.views, v)
	}
}
