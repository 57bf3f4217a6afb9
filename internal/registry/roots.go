package registry

import (
	"crypto/x509"
	"fmt"
	"os"
)

// Roots returns the system's authorities and those in the PEM file certFile, which
// may be empty. SSL_CERT_FILE, which Go takes instead of the system's, is given here
// by the caller so that it adds to them.
func Roots(certFile string) (*x509.CertPool, error) {
	pool, err := x509.SystemCertPool()
	if err != nil || pool == nil {
		pool = x509.NewCertPool()
	}
	if certFile == "" {
		return pool, nil
	}
	// Where SSL_CERT_FILE is in our own environment, SystemCertPool holds nothing
	// else: the built-in ones are read from where they are kept.
	for _, bundle := range []string{
		"/etc/ssl/certs/ca-certificates.crt",                // Debian, Alpine, our own image
		"/etc/pki/tls/certs/ca-bundle.crt",                  // Fedora, RHEL 6
		"/etc/ssl/ca-bundle.pem",                            // openSUSE
		"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", // RHEL 7
		"/etc/ssl/cert.pem",                                 // macOS, BSD
	} {
		pem, err := os.ReadFile(bundle) // #nosec G304 -- the list above
		if err == nil {
			pool.AppendCertsFromPEM(pem)
			break
		}
	}
	pem, err := os.ReadFile(certFile) // #nosec G304 -- the user names the file
	if err != nil {
		return nil, err
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate in PEM form", certFile)
	}
	return pool, nil
}
