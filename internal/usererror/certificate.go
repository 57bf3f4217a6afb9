package usererror

import (
	"crypto/x509"
	"errors"
	"time"
)

// outOfDate returns the remedy for an error that comes from a certificate which is not valid
// at now, because it has expired or is not valid yet; "" for other errors.
func outOfDate(err error, now time.Time) string {
	var invalid x509.CertificateInvalidError
	if !errors.As(err, &invalid) || invalid.Reason != x509.Expired {
		return ""
	}
	clock := "or the clock of this machine is wrong: it says " + now.UTC().Format(time.RFC3339) + "."
	if from := invalid.Cert.NotBefore; now.Before(from) {
		return "The certificate is not valid before " + from.UTC().Format(time.RFC3339) + ": the server's " +
			"operator installed it too early, " + clock
	}
	return "The certificate expired on " + invalid.Cert.NotAfter.UTC().Format(time.RFC3339) + ": the server's " +
		"operator must renew it, " + clock
}
