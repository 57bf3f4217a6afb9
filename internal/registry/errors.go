package registry

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// What decisions are made on.
var (
	// ErrNotFound means that the manifest or blob is not in the repository.
	ErrNotFound = errors.New("not found")
	// ErrUnclear means that the registry's answer does not tell whether a manifest is
	// there: a refusal, for instance, from one that answers so for what is missing, too.
	ErrUnclear = errors.New("the registry does not tell whether it is there")
	// ErrPrecondition means that a conditional write found another state.
	ErrPrecondition = errors.New("precondition failed")
	// ErrUnsupported means that the registry does not do this.
	ErrUnsupported = errors.New("not supported by the registry")
	// ErrImmutable means that the registry itself protects the tag.
	ErrImmutable = errors.New("tag is immutable in the registry")
)

// Bounds of what is read from a registry that is not a blob.
const (
	maxErrorBody = 64 << 10
	maxManifest  = 4 << 20 // registries must take at least this much: distribution spec, "Pushing Manifests"
	maxMessage   = 300     // characters of a registry's words in an error
)

// Codes of the distribution specification's errors that decide something here.
const (
	codeNameUnknown     = "NAME_UNKNOWN"
	codeContentUnknown  = "MANIFEST_BLOB_UNKNOWN"
	codeManifestUnknown = "MANIFEST_UNKNOWN"
	codeBlobUnknown     = "BLOB_UNKNOWN"
	codeUploadUnknown   = "BLOB_UPLOAD_UNKNOWN"
	codeUploadInvalid   = "BLOB_UPLOAD_INVALID"
	codeDigestInvalid   = "DIGEST_INVALID"
	codeTagInvalid      = "TAG_INVALID"
	codeUnsupported     = "UNSUPPORTED"
	codeRangeInvalid    = "RANGE_INVALID"
	codeSizeInvalid     = "SIZE_INVALID"
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
	// Message is what the registry said, at most 300 characters. It is text from
	// outside: escape it where it is printed.
	Message string
	// RetryAfter is how long the registry wants us to wait, 0 if it did not say.
	RetryAfter time.Duration

	token  bool   // the token server's answer
	away   bool   // another host's answer, such as a storage's
	server string // what the answer's Server header says
}

// Error returns method, path, status, code and message.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s: %d", e.Method, e.Path, e.Status)
	if text := http.StatusText(e.Status); text != "" {
		b.WriteString(" " + text)
	}
	if e.Code != "" {
		b.WriteString(": " + e.Code)
	}
	if e.Message != "" {
		b.WriteString(": " + e.Message)
	}
	return b.String()
}

// Is makes 404 match ErrNotFound.
func (e *Error) Is(target error) bool {
	return target == ErrNotFound && e.Status == http.StatusNotFound
}

// answer reads an error out of a response that was not what was asked for, and
// closes it.
func (c *Client) answer(resp *http.Response) *Error {
	e := &Error{
		Status: resp.StatusCode, RetryAfter: retryAfter(resp.Header, c.o.Clock.Now()),
		away: fromElsewhere(resp), server: resp.Header.Get("Server"),
	}
	if req := resp.Request; req != nil {
		e.Method = req.Method
		e.Path = c.outside(req.URL.Path)
		if req.URL.Host != c.apiHost {
			e.Path = c.outside(req.URL.Host + req.URL.Path)
		}
	}
	// Half an answer is an answer too: the status says the most.
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
	_ = resp.Body.Close()
	e.Code, e.Message = parseErrorBody(body, c.o.Redactor.Redact)
	return e
}

// parseErrorBody reads {"errors":[{"code","message"}]} (distribution spec, "Error
// Codes"), Docker Hub's {"details":…} or {"message":…}, or else plain text. What it returns is
// first redacted and then cut: half a secret matches none of its forms.
func parseErrorBody(body []byte, redact func(string) string) (code, message string) {
	bound := func(s string) string { return bound(redact(s)) }
	var spec struct {
		Errors []struct {
			Code    string          `json:"code"`
			Message string          `json:"message"`
			Detail  json.RawMessage `json:"detail"`
		} `json:"errors"`
		Message string `json:"message"`
		Details string `json:"details"`
	}
	if err := json.Unmarshal(body, &spec); err == nil {
		if len(spec.Errors) == 0 {
			return "", bound(strings.TrimSpace(spec.Message + " " + spec.Details))
		}
		var all []string
		for i, e := range spec.Errors {
			text := e.Message
			if i > 0 && e.Code != "" {
				text = e.Code + ": " + text
			}
			// A detail that is a plain text often says what the message does not.
			var detail string
			if json.Unmarshal(e.Detail, &detail) == nil && detail != "" && detail != e.Message {
				text += " (" + detail + ")"
			}
			if text = strings.TrimSpace(text); text != "" {
				all = append(all, text)
			}
		}
		return bound(spec.Errors[0].Code), bound(strings.Join(all, "; "))
	}
	// Before its fields are joined: a secret may hold spaces.
	text := redact(string(body))
	if strings.HasPrefix(strings.TrimSpace(text), "<") { // a proxy's page: the status says as much
		return "", ""
	}
	return "", bound(strings.Join(strings.Fields(text), " "))
}

// outside returns a text from outside as an error may hold it: secrets replaced, and
// only then cut, since half a secret matches none of its forms.
func (c *Client) outside(s string) string { return bound(c.o.Redactor.Redact(s)) }

// bound cuts s to maxMessage characters.
func bound(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= maxMessage {
		return s
	}
	if utf8.RuneCountInString(s) <= maxMessage {
		return s
	}
	return string([]rune(s[:min(len(s), 4*maxMessage)])[:maxMessage-1]) + "…"
}

// retryAfter reads Retry-After in both its forms (RFC 9110, 10.2.3).
func retryAfter(h http.Header, now time.Time) time.Duration {
	value := strings.TrimSpace(h.Get("Retry-After"))
	if value == "" {
		return 0
	}
	if seconds, err := strconv.ParseFloat(value, 64); err == nil {
		if !(seconds > 0) {
			return 0
		}
		const most = 365 * 24 * time.Hour // keeps the product within a Duration
		return time.Duration(min(seconds, most.Seconds()) * float64(time.Second))
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}

// drain reads what is left of a small body so that the connection can be used
// again, and closes it.
func drain(resp *http.Response) {
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, maxErrorBody))
	_ = resp.Body.Close()
}

// peek reads an error body without taking it away.
func peek(resp *http.Response) []byte {
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
	resp.Body = struct {
		io.Reader
		io.Closer
	}{bytes.NewReader(body), resp.Body}
	return body
}
