package transport

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/multi-registry-push/multi-registry-push/internal/retry"
)

// ErrNotFound means that the manifest or blob is not in the repository.
var ErrNotFound = errors.New("not found")

// Bounds of what is read of an answer that is an error.
const (
	maxErrorBody = 64 << 10 // bytes
	maxMessage   = 300      // characters of a registry's words in an error
)

// Error is a registry's answer that says no.
type Error struct {
	Method string
	// Path of the request, or host and path of another host's. Never the query:
	// that is where signatures of object storage are.
	Path   string
	Status int
	// Code is the first error's, "" if the body had none.
	Code string
	// Codes are those of all errors of the answer.
	Codes []string
	// Digests are those that the answer names, such as what a manifest's registry lacks.
	Digests []string
	// Message is what the registry said, at most 300 characters. It is text from
	// outside: escape it where it is printed.
	Message string
	// RetryAfter is how long the registry wants us to wait, 0 if it did not say.
	RetryAfter time.Duration
	// TokenService says that it is the token service's answer, not the registry's.
	TokenService bool
	// Elsewhere says that it is another host's answer, such as a storage's.
	Elsewhere bool
	// Named is the host that the registry had named in place of the one that answered, "" for
	// none.
	Named string
	// Server is the answer's Server header.
	Server string
}

// Error returns method, path, status, code and message.
func (e *Error) Error() string { return e.Method + " " + e.Path + ": " + e.Said() }

// Said returns status, code and message, and nothing twice: most registries repeat the status
// in words of their own, as in 401 Unauthorized: UNAUTHORIZED.
func (e *Error) Said() string {
	text := strconv.Itoa(e.Status)
	words := []string{http.StatusText(e.Status), e.Code, e.Message}
	between := " "
	for i, word := range words {
		if i < 2 && slices.ContainsFunc(words[i+1:], func(o string) bool { return letters(o) == letters(word) }) {
			continue
		}
		if word != "" {
			text, between = text+between+word, ": "
		}
	}
	if e.Named != "" {
		text += remark(e.Named)
	}
	return text
}

// Bare reports whether the answer refuses a login in the words that registries have for each such
// refusal: beside a sentence that says so, it adds nothing.
func (e *Error) Bare() bool {
	return e.Status == http.StatusUnauthorized && e.Named == "" && !e.Elsewhere &&
		slices.Contains([]string{"", "unauthorized"}, letters(e.Code)) && slices.Contains([]string{
		"", "unauthorized", "authenticationrequired", "unauthorizedauthenticationrequired",
		"incorrectusernameorpassword", "invalidusernameorpassword",
	}, letters(e.Message))
}

// letters returns a text without anything but its letters, all small.
func letters(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsLetter(r) {
			return -1
		}
		return unicode.ToLower(r)
	}, text)
}

// Is makes a registry's 404 and 410 match ErrNotFound: its token service's says nothing of
// what is in a repository.
func (e *Error) Is(target error) bool {
	return target == ErrNotFound && (e.Status == http.StatusNotFound || e.Status == http.StatusGone) && !e.TokenService
}

// Transient reports whether the status is one that may be another the next time.
func (e *Error) Transient() bool { return TransientStatus(e.Status) }

// Answer reads an error out of a response that was not what was asked for, and
// closes it.
func (h *Host) Answer(resp *http.Response) *Error {
	e := &Error{
		Status: resp.StatusCode, RetryAfter: retry.After(resp.Header, h.o.Clock.Now()),
		Elsewhere: FromElsewhere(resp), Server: resp.Header.Get("Server"),
	}
	if req := resp.Request; req != nil {
		e.Method = req.Method
		e.Named = h.Redact(named(req.Context()))
		e.Path = h.Redact(req.URL.Path)
		if req.URL.Host != h.name {
			e.Path = h.Redact(req.URL.Host + req.URL.Path)
		}
	}
	// Half an answer is an answer too: the status says the most.
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
	_ = resp.Body.Close()
	said := parseErrorBody(body, h.o.Redactor.Redact)
	e.Codes, e.Message, e.Digests = said.codes, said.message, said.digests
	if len(e.Codes) > 0 {
		e.Code = e.Codes[0]
	}
	return e
}

// Has reports whether one of the answer's errors has the code.
func (e *Error) Has(code string) bool { return e.Code == code || slices.Contains(e.Codes, code) }

// said is what an answer's body says.
type said struct {
	codes   []string
	message string
	digests []string
}

// digestPattern is a digest as registries name it in details and messages.
const digestPattern = `\b(sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})\b`

// parseErrorBody reads {"errors":[{"code","message"}]} (distribution spec, "Error
// Codes"), Docker Hub's {"details":…} or {"message":…}, a token service's {"error":…} (RFC
// 6749, 5.2), or else plain text. What it returns is
// first redacted and then cut: half a secret matches none of its forms.
func parseErrorBody(body []byte, redact func(string) string) said {
	cut := func(s string) string { return Cut(redact(s)) }
	var spec errorBody
	if err := json.Unmarshal(body, &spec); err == nil && len(spec.Errors) > 0 {
		return spec.Errors.said(body, cut)
	} else if err == nil {
		words := slices.DeleteFunc([]string{string(spec.Message), string(spec.Details), string(spec.Error),
			string(spec.Description)}, func(s string) bool { return s == "" })
		if len(words) > 0 || len(bytes.TrimSpace(body)) <= len("null") { // {}, [] and null say nothing
			return said{message: cut(strings.Join(words, " "))}
		}
	}
	// Before its fields are joined: a secret may hold spaces.
	text := redact(string(body))
	if strings.HasPrefix(strings.TrimSpace(text), "<") { // a proxy's page: the status says as much
		return said{}
	}
	return said{message: cut(strings.Join(strings.Fields(text), " "))}
}

// Redact returns a text from outside as an error may hold it: secrets replaced, and
// only then cut, since half a secret matches none of its forms.
func (h *Host) Redact(s string) string { return Cut(h.o.Redactor.Redact(s)) }

// Cut cuts s to 300 characters.
func Cut(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if utf8.RuneCountInString(s) <= maxMessage {
		return s
	}
	return string([]rune(s[:min(len(s), 4*maxMessage)])[:maxMessage-1]) + "…"
}

// Drain reads what is left of a small body so that the connection can be used
// again, and closes it.
func Drain(resp *http.Response) {
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, maxErrorBody))
	_ = resp.Body.Close()
}

// Peek reads an error body without taking it away.
func Peek(resp *http.Response) []byte {
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
	resp.Body = struct {
		io.Reader
		io.Closer
	}{bytes.NewReader(body), resp.Body}
	return body
}
