package registry

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"math/big"
	"net"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

// TestCertificateOutOfDate: a certificate that has expired, or is not valid yet, is said to
// be so with the time, and who has to do what.
func TestCertificateOutOfDate(t *testing.T) {
	now := time.Now()
	for name, test := range map[string]struct {
		from, until time.Time
		want        []string
	}{
		"expired": {now.Add(-48 * time.Hour), now.Add(-24 * time.Hour), []string{
			"expired on " + now.Add(-24*time.Hour).UTC().Format(time.DateOnly), "operator must renew it", "clock of this machine is wrong",
		}},
		"not yet valid": {now.Add(24 * time.Hour), now.Add(48 * time.Hour), []string{
			"not valid before " + now.Add(24*time.Hour).UTC().Format(time.DateOnly), "clock of this machine is wrong",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			certificate, roots := selfSigned(t, test.from, test.until)
			f := newFakeHandler(t)
			f.Server = httptest.NewUnstartedServer(f)
			f.Config.ErrorLog = log.New(io.Discard, "", 0)
			f.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
			f.StartTLS()
			t.Cleanup(f.Close)
			c, clock := f.client(func(o *Options) { o.Roots = func() *x509.CertPool { return roots } })
			err := c.Repository("me/app").Login(t.Context())
			if !usererror.Is(err, usererror.CertificateInvalid) || clock.Slept() != 0 {
				t.Fatalf("Login: %v", err)
			}
			for _, want := range test.want {
				if !strings.Contains(usererror.Advice(err), want) {
					t.Errorf("the remedy %q lacks %q", usererror.Advice(err), want)
				}
			}
		})
	}
}

// selfSigned returns a certificate for loopback that is valid in this time, and a pool that
// trusts it.
func selfSigned(t *testing.T, from, until time.Time) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: from, NotAfter: until, IsCA: true, BasicConstraintsValid: true,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, roots
}
