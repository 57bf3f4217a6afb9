package usererror

import (
	"errors"
	"strings"
	"syscall"
)

// Code names a kind of problem. It is printed in brackets behind the message
// and is the heading to look for in docs/errors.md.
type Code string

// Problem is an error that a person can act on.
type Problem struct {
	Code     Code
	Registry string // host as people write it, empty where no registry is concerned
	What     string // what was being done or what is wrong, with registry and repository named
	Remedy   string // what the person can do; empty means the remedy of the code's entry
	Err      error  // the cause, may be nil
}

// New returns a problem.
func New(code Code, registry, what, remedy string, err error) *Problem {
	if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
		code, remedy = TooManyFiles, "" // whatever it was for: neither the registry's nor the folder's fault
	}
	return &Problem{Code: code, Registry: registry, What: what, Remedy: remedy, Err: err}
}

// Error returns what happened, its cause, and the code; not the remedy, which
// Advice returns.
func (p *Problem) Error() string {
	var b strings.Builder
	b.WriteString(p.What)
	if p.Err != nil {
		cause := p.Err.Error()
		if inner, ok := errors.AsType[*Problem](p.Err); ok { // one code is enough to look for
			cause = strings.TrimSuffix(cause, inner.suffix())
		}
		name, rest, ok := strings.Cut(cause, ": ")
		if ok && strings.Contains(name, "/") && strings.Contains(p.What, name) {
			cause = rest // a repository that was named already
		}
		b.WriteString(": " + cause)
	}
	b.WriteString(p.suffix())
	return b.String()
}

// suffix is the code as it stands behind a message.
func (p *Problem) suffix() string { return " [" + string(p.Code) + "]" }

// Unwrap returns the cause.
func (p *Problem) Unwrap() error { return p.Err }

// Failure returns the problem as those see it that do not know this package.
func (p *Problem) Failure() (host, what, kind string) { return p.Registry, p.What, string(p.Code) }

// Advice returns the remedy: the problem's own, else that of its code.
func (p *Problem) Advice() string {
	if p.Remedy != "" {
		return p.Remedy
	}
	for _, e := range catalogue() {
		if e.Code == p.Code {
			return e.Remedy
		}
	}
	return ""
}

// Of returns the first problem in err's chain, of which a failure of a package below is one
// too; nil if there is none.
func Of(err error) *Problem {
	var f failure
	if !errors.As(err, &f) {
		return nil
	}
	if p, ok := f.(*Problem); ok {
		return p
	}
	return problemOf(f)
}

// Is reports whether err has a problem with this code in its chain.
func Is(err error, code Code) bool {
	for p := Of(err); p != nil; p = Of(p.Err) {
		if p.Code == code {
			return true
		}
	}
	return false
}

// Advice returns the remedy of the first problem in err's chain, or "".
func Advice(err error) string {
	if p := Of(err); p != nil {
		return p.Advice()
	}
	return ""
}

// Text returns err's message with the code of its first problem behind it.
func Text(err error) string {
	text := err.Error()
	if p := Of(err); p != nil && !strings.HasSuffix(text, p.suffix()) {
		text += p.suffix()
	}
	return text
}
