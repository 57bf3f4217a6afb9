package redact

const (
	// leastReadable is how many readable bytes in a row make what was decoded a text
	// that may hold escapes of its own; random bytes hardly ever do.
	leastReadable = 12
)

// digits holds the value of each byte in base64, both alphabets, else 0xFF.
var digits = func() (table [256]byte) {
	for i := range table {
		table[i] = 0xFF
	}
	for i, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/") {
		table[c] = byte(i)
	}
	table['-'], table['_'] = 62, 63
	return table
}()

// base64Runs calls visit for each stretch of v that can be base64, decoded at each of
// the four offsets at which its groups may begin. Decoded byte i stands for the characters
// from+i*8/6 to from+(i*8+13)/6 of v. decoded is valid during the call only.
func base64Runs(v *view, least int, scratch *[]byte, visit func(decoded []byte, from int)) {
	text := v.text
	for i := 0; i < len(text); {
		if digits[text[i]] == 0xFF {
			i++
			continue
		}
		end := i + 1
		for end < len(text) && digits[text[end]] != 0xFF {
			end++
		}
		for from := i; from < i+4 && (end-from)*6/8 >= least; from++ {
			*scratch = decodeDigits((*scratch)[:0], text[from:end])
			visit(*scratch, from)
		}
		i = end
	}
}

// decodeDigits appends what base64 digits spell; bits that are left over are dropped.
func decodeDigits(to, text []byte) []byte {
	for len(text) >= 4 {
		bits := uint32(digits[text[0]])<<18 | uint32(digits[text[1]])<<12 |
			uint32(digits[text[2]])<<6 | uint32(digits[text[3]])
		to = append(to, byte(bits>>16), byte(bits>>8), byte(bits)) // #nosec G115 -- eight bits each
		text = text[4:]
	}
	if len(text) >= 2 {
		to = append(to, digits[text[0]]<<2|digits[text[1]]>>4)
	}
	if len(text) == 3 {
		to = append(to, digits[text[1]]<<4|digits[text[2]]>>2)
	}
	return to
}

// base64Span returns which characters of a run that begins at from spell decoded bytes i
// to j.
func base64Span(from, i, j int) (start, end int) {
	return from + i*8/6, from + (j*8+5)/6
}

// readable returns a view of the longest readable stretch of decoded, if there is one
// that is worth reading on.
func readable(v *view, decoded []byte, from int) (*view, bool) {
	best, start := span{}, 0
	for i := 0; i <= len(decoded); i++ {
		if i < len(decoded) &&
			(decoded[i] >= ' ' && decoded[i] < 0x7F || decoded[i] == '\n' || decoded[i] == '\r' || decoded[i] == '\t') {
			continue
		}
		if i-start > best.to-best.from {
			best = span{start, i}
		}
		start = i + 1
	}
	if best.to-best.from < leastReadable {
		return nil, false
	}
	w := &view{depth: v.depth + 1}
	for i := best.from; i < best.to; i++ {
		start, end := base64Span(from, i, i+1)
		w.add(decoded[i], v, start, end)
	}
	return w, true
}
