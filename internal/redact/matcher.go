package redact

import "slices"

const (
	// blockSize is the length, in bytes, of the pieces by which long patterns are found.
	// Every stretch of 2*blockSize-1 bytes of a pattern holds a whole piece.
	blockSize = 12
	// leastPart is how many bytes in a row of a long pattern give it away: a registry that
	// repeats a request may cut it, as logs of servers do.
	leastPart = 2 * blockSize
	// leastPartOfLines is the same for a pattern of several lines: a key file of JSON holds
	// addresses that are no secret.
	leastPartOfLines = 64
	// leastFolded is the length from which letters are compared without their case: a text
	// that was lower-cased is still the secret.
	leastFolded = 8
	// mostPlaces bounds how many places of patterns one piece is looked for at: a secret
	// that repeats itself would make the search quadratic.
	mostPlaces = 8
)

// pattern is one text to be found.
type pattern struct {
	text  string
	open  int // bytes at its beginning that are no secret by themselves: a user name's
	least int // bytes of it in a row that count; len(text) for all of it
}

// place is where a piece stands in a pattern.
type place struct{ pattern, offset int }

// matcher finds patterns in a text in one pass, however many there are. It is immutable.
type matcher struct {
	patterns []pattern
	short    map[uint32][]string // patterns below leastPart, by their first four bytes
	blocks   map[[blockSize]byte][]place
	filter   []uint64 // a bit for each first four bytes, hashed
	shortest int      // length of the shortest pattern; 0 for none
}

// newMatcher returns a matcher of patterns that hold at least four bytes each.
func newMatcher(patterns []pattern) *matcher {
	m := &matcher{patterns: patterns, short: map[uint32][]string{}, blocks: map[[blockSize]byte][]place{}}
	var keys []uint32
	for i, p := range patterns {
		if m.shortest == 0 || len(p.text) < m.shortest {
			m.shortest = len(p.text)
		}
		if len(p.text) < leastPart {
			key := firstFour([]byte(p.text))
			m.short[key] = append(m.short[key], p.text)
			keys = append(keys, key)
			continue
		}
		text := []byte(p.text)
		for at := 0; at+blockSize <= len(text); at += blockSize {
			block := blockOf(text[at:])
			if places := m.blocks[block]; len(places) < mostPlaces {
				m.blocks[block] = append(places, place{i, at})
				keys = append(keys, firstFour(text[at:]))
			}
		}
	}
	size := 64
	for size < len(keys) { // 64 bits a key: one text position in some dozens is looked up in vain
		size *= 2
	}
	m.filter = make([]uint64, size)
	for _, key := range keys {
		word, bit := m.bit(key)
		m.filter[word] |= bit
	}
	return m
}

func (m *matcher) bit(key uint32) (word int, bit uint64) {
	hash := uint64(key) * 0x9E3779B97F4A7C15
	// #nosec G115 -- below the length of a slice
	return int(hash >> 40 % uint64(len(m.filter))), 1 << (hash >> 32 & 63)
}

// find calls found for each stretch of text that gives a pattern away. Stretches may
// overlap; what one of them begins with may end in the next.
func (m *matcher) find(text []byte, found func(from, to int)) {
	if m.shortest == 0 {
		return
	}
	covered := 0 // up to here long patterns have been found
	for i := 0; i+4 <= len(text); i++ {
		key := firstFour(text[i:])
		if word, bit := m.bit(key); m.filter[word]&bit == 0 {
			continue
		}
		for _, s := range m.short[key] {
			if len(text)-i >= len(s) && same(text[i:i+len(s)], s) {
				found(i, i+len(s))
			}
		}
		if i+blockSize > len(text) || i+blockSize <= covered {
			continue
		}
		for _, p := range m.blocks[blockOf(text[i:])] {
			if from, to, ok := m.extend(text, i, covered, p); ok {
				found(from, to)
				covered = max(covered, to)
			}
		}
	}
}

// extend returns how far the text around i is the pattern around p. What was found before
// is not gone over again beyond what tells whether it is enough.
func (m *matcher) extend(text []byte, i, covered int, p place) (from, to int, ok bool) {
	pattern := m.patterns[p.pattern]
	s := pattern.text
	n := 0
	for p.offset+n < len(s) && i+n < len(text) && lower(text[i+n]) == lower(s[p.offset+n]) {
		n++
	}
	if n < blockSize { // another text with the same key
		return 0, 0, false
	}
	before := 0
	for before < p.offset && before < i && (i-before > covered || n+before < pattern.least) &&
		lower(text[i-before-1]) == lower(s[p.offset-before-1]) {
		before++
	}
	return i - before, i + n, n+before >= pattern.least && p.offset+n > pattern.open
}

// firstFour returns a key of the first four bytes of b, the same for both cases of a
// letter.
func firstFour(b []byte) uint32 {
	_ = b[3]
	return (uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24) | 0x20202020
}

func blockOf(b []byte) (block [blockSize]byte) {
	copy(block[:], b)
	for i := range block {
		block[i] |= 0x20
	}
	return block
}

// same reports whether b spells s, long ones in any case.
func same(b []byte, s string) bool {
	if len(s) < leastFolded {
		return string(b) == s
	}
	for i := range b {
		if lower(b[i]) != lower(s[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// span is a stretch of a text, in bytes.
type span struct{ from, to int }

// join returns spans in order, those that overlap as one.
func join(spans []span) []span {
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
