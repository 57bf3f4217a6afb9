package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"time"
)

// authority is one certificate for some names, which signs itself: clients get it by
// SSL_CERT_FILE.
type authority struct {
	cert, key string // files, PEM
}

func newAuthority(dir string, names []string) (a authority, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return a, err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "bench"}, DNSNames: names,
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return a, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return a, err
	}
	a = authority{cert: filepath.Join(dir, "bench.pem"), key: filepath.Join(dir, "bench.key")}
	for path, block := range map[string]*pem.Block{
		a.cert: {Type: "CERTIFICATE", Bytes: cert}, a.key: {Type: "PRIVATE KEY", Bytes: private},
	} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			return a, err
		}
	}
	return a, nil
}
