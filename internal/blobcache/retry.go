package blobcache

import (
	"context"
	"errors"
	"time"

	"github.com/multi-registry-push/multi-registry-push/internal/retry"
)

// backoff is the wait before a source that broke off is asked again. Most answer the next request: the
// first comes almost at once.
var backoff = retry.Backoff{First: 100 * time.Millisecond, Longest: 15 * time.Second}

// retryable is the rule for errors of a source when Options has none. An error
// that says so itself (by a method Retryable() bool) is believed; what has a kind as an *Error has is an
// answer, which another attempt does not change; all else is a connection that
// broke.
func retryable(err error) bool {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	var self interface{ Retryable() bool }
	if errors.As(err, &self) {
		return self.Retryable()
	}
	var failure interface {
		Failure() (host, what, kind string)
	}
	return !errors.As(err, &failure)
}
