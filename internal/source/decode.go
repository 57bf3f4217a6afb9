package source

import (
	"errors"

	"github.com/multi-registry-push/multi-registry-push/internal/jsondoc"
)

// decode reads a JSON document of the source. One that can be read in two ways is refused:
// another program would publish, or run, something else.
func decode(raw []byte, into any, what string) error {
	err := jsondoc.UnmarshalStrict(raw, into)
	switch {
	case errors.Is(err, jsondoc.ErrAmbiguous):
		return &Error{Kind: AmbiguousJSON, Err: err,
			What: what + " means one thing to one program and another to the next"}
	case errors.Is(err, jsondoc.ErrTooMany):
		return broken(err, "%s holds more than a real one does", what)
	case err != nil:
		return broken(err, "%s cannot be understood", what)
	}
	return nil
}
