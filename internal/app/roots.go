package app

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"os"
	"sync"
)

// readRoots says how the authorities that are trusted are read, once: the system's, and those
// in SSL_CERT_FILE. With such a file that is done while the first connection over TLS is made,
// and not before: it takes as long as all that comes before the first request.
func (s *step) readRoots() {
	var more []byte
	if name := s.vars["SSL_CERT_FILE"]; name != "" {
		var err error
		more, err = os.ReadFile(s.paths.Map(name))
		if err == nil && !hasCertificate(more) {
			err = errors.New("there is no certificate in it")
		}
		if err != nil {
			more = nil
			s.warnings = append(s.warnings, fmt.Sprintf("SSL_CERT_FILE, %s, is left aside: %v", name, err))
		}
	}
	if more == nil {
		s.roots = func() *x509.CertPool { return nil } // as the system knows them
		return
	}
	s.roots = sync.OnceValue(func() *x509.CertPool {
		pool, _ := x509.SystemCertPool()
		if pool == nil {
			pool = x509.NewCertPool()
		}
		pool.AppendCertsFromPEM(more)
		return pool
	})
}

// hasCertificate reports whether there is a certificate among what a PEM file holds.
func hasCertificate(file []byte) bool {
	for block, rest := pem.Decode(file); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			if _, err := x509.ParseCertificate(block.Bytes); err == nil {
				return true
			}
		}
	}
	return false
}

// exchangeTransport returns what carries requests to whoever is no registry.
func (s *step) exchangeTransport() http.RoundTripper {
	if s.env.Transport != nil {
		return s.env.Transport
	}
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.TLSClientConfig = &tls.Config{RootCAs: s.roots(), MinVersion: tls.VersionTLS12}
	return t
}
