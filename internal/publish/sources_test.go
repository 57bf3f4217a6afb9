package publish

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
)

// TestMarkSource: a connection of the source that breaks off with an error that wraps io.EOF is the
// source's failure, and no end of a blob.
func TestMarkSource(t *testing.T) {
	for _, own := range []error{fmt.Errorf("GET /v2/: %w", io.EOF), io.ErrUnexpectedEOF, errors.New("no route")} {
		var marked *sourceError
		if err := markSource(own); !errors.As(err, &marked) || !errors.Is(err, own) {
			t.Errorf("%v is not the source's", own)
		}
	}
	for _, other := range []error{nil, io.EOF, context.Canceled} {
		if err := markSource(other); !errors.Is(err, other) || err != nil && err.Error() != other.Error() {
			t.Errorf("%v became %v", other, err)
		}
	}
}
