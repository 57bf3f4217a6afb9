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

// readRoots has the authorities that are trusted read, while something else is done: the
// system's, and those in SSL_CERT_FILE. They are some hundred files, which the first
// handshake would wait for.
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
	s.roots = sync.OnceValue(func() *x509.CertPool {
		pool, _ := x509.SystemCertPool()
		if more == nil {
			return nil // as the system knows them
		}
		if pool == nil {
			pool = x509.NewCertPool()
		}
		pool.AppendCertsFromPEM(more)
		return pool
	})
	go func() {
		defer func() { _ = recover() }() // whoever asks panics with the same
		s.roots()
	}()
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
