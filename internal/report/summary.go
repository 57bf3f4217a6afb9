package report

import "strings"

// MaxSummary is what Markdown is asked to stay below: GitHub refuses a step's summary
// of more than 1 MiB.
const MaxSummary = 1_000_000

const cutNote = "\n_Shortened: GitHub shows at most 1 MiB. Everything is in the output `results`._\n"

// summary collects blocks up to a limit; what does not fit is left out, and said to be.
type summary struct {
	b     strings.Builder
	limit int
	cut   bool
}

// add appends a block if it fits.
func (s *summary) add(block string) {
	if s.b.Len()+len(block)+len(cutNote) > s.limit {
		s.cut = true
		return
	}
	s.b.WriteString(block)
}

// addAll appends lines between head and tail, as many as fit into share bytes.
func (s *summary) addAll(head string, lines []string, tail string, share int) {
	if len(lines) == 0 {
		return
	}
	var b strings.Builder
	b.WriteString(head)
	for _, line := range lines {
		if b.Len()+len(line)+len(tail) > share {
			s.cut = true
			break
		}
		b.WriteString(line)
	}
	b.WriteString(tail)
	s.add(b.String())
}

func (s *summary) String() string {
	if s.cut && s.b.Len()+len(cutNote) <= s.limit {
		return s.b.String() + cutNote
	}
	return s.b.String()
}
