package app

import (
	"errors"
	"strings"

	"github.com/multi-registry-push/multi-registry-push/internal/redact"
	"github.com/multi-registry-push/multi-registry-push/internal/report"
	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

// longestFreeText bounds one free text, in bytes, when its secrets are out.
const longestFreeText = 4000

// redacted returns an event with the secrets in free texts replaced, and each
// text in one line: no registry can write lines of the log that look like ours.
// Hosts, references and digests are
// public, and never searched: a registry chooses its tokens, and could make them unreadable.
func redacted(e report.Event, hide func(string) string) report.Event {
	redact := func(text string) string { return string(redact.Redacted(oneLine(hide(text))).Cut(longestFreeText)) }
	switch e := e.(type) {
	case report.RegistryFailed:
		e.Err = redactedError(e.Err, redact)
		return e
	case report.RunFailed:
		e.Err = redactedError(e.Err, redact)
		return e
	case report.Notice:
		e.Text = redact(e.Text)
		return e
	case report.Debug:
		e.Text = redact(e.Text)
		return e
	case report.LineSkipped:
		e.Line, e.Reason = redact(e.Line), redact(e.Reason)
		return e
	case report.RegistryPlanned:
		e.References, e.Accounts, e.Skip = each(e.References, oneLine), each(e.Accounts, redact), redact(e.Skip)
		return e
	case report.RegistrySkipped:
		e.Reason = redact(e.Reason)
		return e
	case report.TagsSkipped:
		e.References, e.Reason = each(e.References, oneLine), redact(e.Reason)
		return e
	case report.RepositoryCreated:
		e.Repository = oneLine(e.Repository)
		return e
	case report.TagDone:
		e.Reference, e.Reason = oneLine(e.Reference), redact(e.Reason)
		return e
	case report.DryRunPlan:
		e.Note = redact(e.Note)
		return e
	case report.SourceKnown:
		e.Reference, e.Digest, e.MediaType = redact(e.Reference), oneLine(e.Digest), oneLine(e.MediaType)
		e.Platforms = each(e.Platforms, oneLine)
		return e
	}
	return e
}

// each returns a list of its own: the event's is the sender's.
func each(texts []string, redact func(string) string) []string {
	out := make([]string, len(texts))
	for i, text := range texts {
		out[i] = redact(text)
	}
	return out
}

// oneLine puts spaces where a text has line breaks.
func oneLine(text string) string {
	if !strings.ContainsAny(text, "\r\n") {
		return text
	}
	lines := strings.FieldsFunc(text, func(r rune) bool { return r == '\r' || r == '\n' })
	return strings.Join(lines, " ")
}

// redactedError returns err with another text, and the same chain behind it. Errors that
// are joined stay apart, since each has a remedy of its own.
func redactedError(err error, redact func(string) string) error {
	if err == nil {
		return nil
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var parts joinedErrors
		for _, part := range joined.Unwrap() {
			parts = append(parts, redactedError(part, redact))
		}
		return parts
	}
	clean := &cleanError{text: redact(err.Error()), err: err}
	if problem, ok := errors.AsType[*usererror.Problem](err); ok { // its advice repeats text, too
		clean.err = usererror.New(problem.Code, problem.Registry, clean.text, redact(problem.Advice()), err)
	}
	return clean
}

type cleanError struct {
	text string
	err  error
}

func (e *cleanError) Error() string { return e.text }
func (e *cleanError) Unwrap() error { return e.err }

type joinedErrors []error

func (e joinedErrors) Error() string {
	text := ""
	for i, err := range e {
		if i > 0 {
			text += "\n"
		}
		text += err.Error()
	}
	return text
}

func (e joinedErrors) Unwrap() []error { return e }
