package registry

import (
	"crypto/x509"
	"time"
)

// outOfDate says what to do about a certificate that is not valid at now: it has expired, or
// is not valid yet, unless the clock is wrong.
func outOfDate(c *x509.Certificate, now time.Time) string {
	clock := "or the clock of this machine is wrong: it says " + now.UTC().Format(time.RFC3339) + "."
	if now.Before(c.NotBefore) {
		return "The certificate is not valid before " + c.NotBefore.UTC().Format(time.RFC3339) + ": the registry's " +
			"operator installed it too early, " + clock
	}
	return "The certificate expired on " + c.NotAfter.UTC().Format(time.RFC3339) + ": the registry's operator must " +
		"renew it, " + clock
}
