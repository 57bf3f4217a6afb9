package credentials

import (
	"encoding/json"
	"strings"
	"unicode"
)

// longest is how much of a provider's answer is shown, in bytes.
const longest = 300

var (
	jwt  = compiled(`eyJ[A-Za-z0-9_-]{5,}(?:\.[A-Za-z0-9_-]*)*`)
	word = compiled(`[A-Za-z0-9_+-]+={0,2}`)
)

// longestWord is how long, in bytes, a name, a part of an ARN or an identifier may be. What is longer is
// taken for a token.
const longestWord = 71

// clean makes a provider's answer fit to be shown: secrets that are known, and what
// looks like a token, are out; it is one line, and short.
func (r *Resolver) clean(text string) string {
	text = r.o.Redactor.Redact(text)
	text = jwt().ReplaceAllString(text, "***")
	text = word().ReplaceAllStringFunc(text, func(w string) string {
		if len(strings.TrimRight(w, "=")) > longestWord {
			return "***"
		}
		return w
	})
	blank := func(c rune) bool { return unicode.IsSpace(c) || unicode.IsControl(c) }
	text = strings.Join(strings.FieldsFunc(text, blank), " ")
	if len(text) > longest {
		text = strings.ToValidUTF8(text[:longest], "") + "…"
	}
	return text
}

// message picks out of an error answer what is meant for people: the fields of
// OAuth (RFC 6749, 5.2), Google, Microsoft and the registries. If it has none of them
// it is returned as it is.
func message(body []byte) string {
	var answer struct {
		Error       json.RawMessage `json:"error"`
		Description string          `json:"error_description"`
		Message     string          `json:"message"`
		Detail      string          `json:"detail"`
		Errors      []struct {
			Code    string `json:"code"`
			Message string `json:"message"`
		} `json:"errors"`
	}
	if json.Unmarshal(body, &answer) != nil {
		return strings.TrimSpace(string(body))
	}
	var parts []string
	add := func(s string) {
		if s != "" {
			parts = append(parts, s)
		}
	}
	var word string
	var nested struct {
		Status  string `json:"status"`
		Code    any    `json:"code"`
		Message string `json:"message"`
	}
	switch {
	case json.Unmarshal(answer.Error, &word) == nil:
		add(word)
	case json.Unmarshal(answer.Error, &nested) == nil:
		add(nested.Status)
		add(nested.Message)
	}
	add(answer.Description)
	add(answer.Message)
	add(answer.Detail)
	for _, e := range answer.Errors {
		add(e.Code)
		add(e.Message)
	}
	if len(parts) == 0 {
		return strings.TrimSpace(string(body))
	}
	return strings.Join(parts, ": ")
}
