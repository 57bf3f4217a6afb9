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
		var inner *Problem
		if errors.As(p.Err, &inner) { // one code is enough to look for
			cause = strings.TrimSuffix(cause, " ["+string(inner.Code)+"]")
		}
		b.WriteString(": " + cause)
	}
	b.WriteString(" [" + string(p.Code) + "]")
	return b.String()
}

// Unwrap returns the cause.
func (p *Problem) Unwrap() error { return p.Err }

// Advice returns the remedy: the problem's own, else that of its code.
func (p *Problem) Advice() string {
	if p.Remedy != "" {
		return p.Remedy
	}
	for _, e := range Catalogue() {
		if e.Code == p.Code {
			return e.Remedy
		}
	}
	return ""
}

// Is reports whether err has a problem with this code in its chain.
func Is(err error, code Code) bool {
	var p *Problem
	for errors.As(err, &p) {
		if p.Code == code {
			return true
		}
		err = p.Err
		p = nil
		if err == nil {
			return false
		}
	}
	return false
}

// Advice returns the remedy of the first problem in err's chain that has one,
// or "".
func Advice(err error) string {
	var p *Problem
	if errors.As(err, &p) {
		return p.Advice()
	}
	return ""
}
