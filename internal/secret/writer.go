package secret

import (
	"io"
	"strings"
	"sync"
)

// Writer passes on what it is given with every secret replaced, also where a secret
// comes in pieces. It keeps back only what may yet turn out to be the start of one.
// It is safe for concurrent use.
type Writer struct {
	v *Vault
	w io.Writer

	mu   sync.Mutex
	kept string
}

// Writer returns a writer that redacts on the way to w.
func (v *Vault) Writer(w io.Writer) *Writer { return &Writer{v: v, w: w} }

// Write takes p. An error is the underlying writer's; p counts as taken then, too.
func (w *Writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	text := w.kept + string(p)
	forms := *w.v.known.Load()
	spans := find(text, forms)
	end := len(text) - startOfForm(text, forms)
	for len(spans) > 0 && spans[len(spans)-1].to > end {
		// What was found reaches into what is kept: more of it may follow.
		end = min(end, spans[len(spans)-1].from)
		spans = spans[:len(spans)-1]
	}
	w.kept = text[end:]
	if end == 0 {
		return len(p), nil
	}
	_, err := io.WriteString(w.w, redact(text[:end], spans))
	return len(p), err
}

// Flush writes what is still kept back, redacted as far as it can be told.
func (w *Writer) Flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	rest := w.v.Redact(w.kept)
	w.kept = ""
	if rest == "" {
		return nil
	}
	_, err := io.WriteString(w.w, rest)
	return err
}

// startOfForm returns the length of the longest end of text that some form begins with,
// without being all of it.
func startOfForm(text string, forms []string) int {
	longest := 0
	for _, form := range forms {
		for n := min(len(form)-1, len(text)); n > longest; n-- {
			if strings.HasPrefix(form, text[len(text)-n:]) {
				longest = n
				break
			}
		}
	}
	return longest
}
