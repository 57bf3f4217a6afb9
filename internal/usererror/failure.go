package usererror

import (
	"cmp"
	"errors"
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
	for _, kinds := range []map[string]explanation{registryKinds, sourceKinds} {
		if e, ok := kinds[kind]; ok {
			return e
		}
	}
	return explanation{code: Code(kind)}
}

// problemOf returns what people are told of a failure.
func problemOf(f failure) *Problem {
	host, what, kind := f.Failure()
	e := explain(kind)
	switch of := f.(type) {
	case reference:
		e.remedy = ruleRemedy(of)
	case sourceFailure:
		e.remedy = sourceRemedy(of, e.remedy)
	case loginFailure:
		e.remedy = loginRemedy(of)
	default:
		e.remedy = cmp.Or(e.remedy, remedyAt(host, kind, f))
	}
	return New(e.code, host, what, e.remedy, errors.Unwrap(f))
}
