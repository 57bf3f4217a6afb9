package usererror

import (
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestOutOfDate: a certificate that has expired, or is not valid yet, is said to be so with the
// time; other errors have nothing to do with it.
func TestOutOfDate(t *testing.T) {
	now := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	certificate := func(from, until time.Duration) error {
		c := &x509.Certificate{NotBefore: now.Add(from), NotAfter: now.Add(until)}
		return fmt.Errorf("exchange: %w", x509.CertificateInvalidError{Cert: c, Reason: x509.Expired})
	}
	for name, test := range map[string]struct {
		err  error
		want string
	}{
		"expired":       {certificate(-2*time.Hour, -time.Hour), "expired on 2026-11-26T11:00:00Z"},
		"not yet valid": {certificate(time.Hour, 2*time.Hour), "not valid before 2026-11-26T13:00:00Z"},
		"another":       {errors.New("no route"), ""},
	} {
		got := outOfDate(test.err, now)
		if !strings.Contains(got, test.want) || (test.want == "") != (got == "") {
			t.Errorf("%s: %q", name, got)
		}
	}
}
