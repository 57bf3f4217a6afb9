package transport

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"

	"github.com/multi-registry-push/multi-registry-push/internal/retry"
)

// ErrBodyClosed says that a request's body was read after the request had ended.
var ErrBodyClosed = errors.New("request body read after it was closed")

// TransientStatus reports whether a status is one that may be another the next time:
// 408, 425, 429, 499, 5xx (501 and 505 aside).
func TransientStatus(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests, 499:
		return true
	case http.StatusNotImplemented, http.StatusHTTPVersionNotSupported:
		return false
	}
	return status >= 500 && status <= 599
}

// Transient reports whether err may pass: a connection that could not be made or broke,
// or an answer with TransientStatus. An error that says so itself, by a method
// Transient() bool, is believed.
func Transient(err error) bool {
	var self interface{ Transient() bool }
	if errors.As(err, &self) {
		return self.Transient()
	}
	var verify *tls.CertificateVerificationError
	var host x509.HostnameError
	var authority x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &verify), errors.As(err, &host), errors.As(err, &authority), errors.As(err, &invalid):
		return false
	case errors.Is(err, context.Canceled), errors.Is(err, ErrBodyClosed):
		return false
	case AnsweredInPlain(err):
		return false
	case errors.Is(err, ErrStalled), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return true
	case strings.Contains(err.Error(), "server response headers exceeded"):
		return false
	}
	if _, ok := errors.AsType[*BrokenError](err); ok {
		return true
	}
	var network net.Error
	var errno syscall.Errno
	return errors.As(err, &network) || errors.As(err, &errno) || errors.Is(err, net.ErrClosed)
}

// AnsweredInPlain reports whether the other side answered our TLS in plain text.
// (A connection that ended, or a time-out, is no answer.)
func AnsweredInPlain(err error) bool {
	var header tls.RecordHeaderError
	return errors.Is(err, http.ErrSchemeMismatch) || errors.As(err, &header)
}

// BrokenError is any other failure of the transport to get an answer: malformed
// HTTP, an HTTP/2 stream that was reset.
type BrokenError struct{ Err error }

func (e *BrokenError) Error() string { return e.Err.Error() }

// Unwrap returns the failure.
func (e *BrokenError) Unwrap() error { return e.Err }

// UnsafeError says that a registry sent us to where it must not.
type UnsafeError struct{ What string }

func (e *UnsafeError) Error() string { return e.What }

// Transient returns false.
func (e *UnsafeError) Transient() bool { return false }

// NotRegistryError says that what answers at the host is no registry.
type NotRegistryError struct{ What string }

func (e *NotRegistryError) Error() string { return "what answers there is no registry: " + e.What }

// Transient returns false.
func (e *NotRegistryError) Transient() bool { return false }

// RetryError is an answer that is final for its request, but not for the operation
// that the request was part of.
type RetryError struct{ Err error }

func (e *RetryError) Error() string { return e.Err.Error() }

// Unwrap returns the answer.
func (e *RetryError) Unwrap() error { return e.Err }

// Transient returns true.
func (e *RetryError) Transient() bool { return true }

// GaveUpError says that a transient failure did not pass in time.
type GaveUpError struct {
	Err   error
	Tries int
	After time.Duration
	Asked time.Duration // how long the registry wanted us to wait
	Dead  bool          // nothing but failures had come before this was first tried
}

func (e *GaveUpError) Error() string {
	if e.Asked > 0 {
		return fmt.Sprintf("the registry asks to wait %s: %v", retry.Text(e.Asked), e.Err)
	}
	if e.Dead {
		return fmt.Sprintf("given up, after %s of nothing but failures from this registry: %v",
			retry.Text(e.After), e.Err)
	}
	tries := "tries"
	if e.Tries == 1 {
		tries = "try"
	}
	return fmt.Sprintf("given up after %d %s in %s: %v", e.Tries, tries, retry.Text(e.After), e.Err)
}

// Gist returns Error without how often and for how long it was tried, where nothing else
// is said of that.
func (e *GaveUpError) Gist() string {
	if e.Asked > 0 || e.Dead {
		return e.Error()
	}
	return "given up: " + e.Err.Error()
}

// Unwrap returns the last failure.
func (e *GaveUpError) Unwrap() error { return e.Err }

// Transient returns false: it was tried again for as long as it is.
func (e *GaveUpError) Transient() bool { return false }
