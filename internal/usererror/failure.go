package usererror

import (
	"errors"
	"strings"
)

// failure is what this package sees of the errors of those that do not know it. A *Problem is
// one, too.
type failure interface {
	error
	// Failure returns the registry's host, as people write it, "" where no registry is concerned,
	// what is wrong or what was being done, and its kind.
	Failure() (host, what, kind string)
}

// explanation is what people are told of a kind of failure.
type explanation struct {
	code   Code
	remedy string // where that of the code is not the best
}

// explain returns the explanation of a kind. One that has none is called like its code.
func explain(kind string) explanation {
	if e, ok := registryKinds[kind]; ok {
		return e
	}
	return explanation{code: Code(kind)}
}

// problemOf returns what people are told of a failure.
func problemOf(f failure) *Problem {
	host, what, kind := f.Failure()
	e := explain(kind)
	if e.remedy == "" {
		e.remedy = remedyAt(host, kind, f)
	}
	if r, ok := f.(reference); ok {
		rule, allowed := r.Broken()
		e.remedy = strings.Replace(rules[rule], "%s", allowed, 1)
	}
	return New(e.code, host, what, e.remedy, errors.Unwrap(f))
}
