package redact

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strings"
)

const mask = "***"

// Text is a secret. However it is printed, it prints as ***; only Reveal
// returns the value.
type Text struct{ value string }

// New returns value as a secret.
func New(value string) Text { return Text{value} }

// Reveal returns the value. Call it where the value is sent, nowhere else.
func (t Text) Reveal() string { return t.value }

// IsZero reports whether there is no value.
func (t Text) IsZero() bool { return t.value == "" }

// String returns ***.
func (t Text) String() string { return mask }

// GoString returns ***, for %#v.
func (t Text) GoString() string { return mask }

// Format writes *** for every verb.
func (t Text) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, mask) }

// MarshalJSON returns "***".
func (t Text) MarshalJSON() ([]byte, error) { return json.Marshal(mask) }

// MarshalText returns ***.
func (t Text) MarshalText() ([]byte, error) { return []byte(mask), nil }

// LogValue returns ***.
func (t Text) LogValue() slog.Value { return slog.StringValue(mask) }

// Redacted is free text in which secrets have been replaced. Only a Redactor makes it of
// text from outside. It is not escaped.
type Redacted string

// Cut returns at most n bytes of the text, at the end of a character, with an ellipsis
// where something is missing. Cutting belongs behind redaction: half a secret is not found.
func (t Redacted) Cut(n int) Redacted {
	if len(t) <= n {
		return t
	}
	return Redacted(strings.ToValidUTF8(string(t[:max(n, 0)]), "")) + "…"
}
