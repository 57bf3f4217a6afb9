package credentials

import (
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/multi-registry-push/multi-registry-push/internal/imageref"
)

// providerURL returns the base address of a provider that runs on a registry's own host. The
// job's token goes there by HTTPS; on loopback, where nobody listens in, by HTTP.
func providerURL(host string) string {
	if imageref.Loopback(host) {
		return "http://" + host
	}
	return "https://" + host
}

// refusal is a provider's answer other than success.
type refusal struct {
	host   string
	status int
	text   string // raw, to be cleaned before it is shown
}

func (e *refusal) Error() string {
	return fmt.Sprintf("%s answered %d %s: %s", e.host, e.status, http.StatusText(e.status), e.text)
}

// aboutTheToken reports whether the answer is a refusal of what was sent, and not of the
// address or the method.
func (e *refusal) aboutTheToken() bool {
	return e.status >= http.StatusBadRequest && e.status != http.StatusNotFound &&
		e.status != http.StatusMethodNotAllowed
}

// exchangeTransport returns the transport of one token exchange.
func (r *Resolver) exchangeTransport() *exchangeTransport {
	return &exchangeTransport{base: r.o.Transport(), clock: r.o.Clock, timeout: r.o.Timeout}
}

// exchangeJSON sends req and decodes a successful answer. Its errors are
// *refusal, *unanswered and those of the context and of JSON.
func (r *Resolver) exchangeJSON(req *http.Request, into any) error {
	resp, err := r.exchangeTransport().client().Do(req)
	if err != nil {
		return bare(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body) // bounded already
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return &refusal{host: req.URL.Host, status: resp.StatusCode, text: message(body)}
	}
	if err := json.Unmarshal(body, into); err != nil {
		// The error of encoding/json can quote what it read, which may be a token.
		return fmt.Errorf("the answer of %s is not the JSON that was expected", req.URL.Host)
	}
	return nil
}

// failed makes an *Error of an exchange's error: of kind if the provider said no, of another if it
// could not be asked. What the provider answered is cleaned. A *TrustRefused in err stays in the chain.
func (r *Resolver) failed(kind ErrorKind, registry, what string, hint Hint, err error) error {
	if own, ok := errors.AsType[*Error](err); ok {
		return own
	}
	if trust, ok := errors.AsType[*TrustRefused](err); ok {
		return &Error{Kind: kind, Host: registry, What: what, Err: trust}
	}
	if abandoned(err) {
		return err
	}
	var cause error = &cleaned{text: r.clean(err.Error())}
	var u *unanswered
	var authority x509.UnknownAuthorityError
	switch {
	case errors.As(err, &authority):
		kind, hint = UnknownAuthority, Hint{}
	case untrusted(err):
		kind, hint, cause = CertificateInvalid, Hint{}, &cleaned{r.clean(err.Error()), err}
	case errors.As(err, &u) && u.status == http.StatusTooManyRequests:
		kind, hint = RateLimited, Hint{}
	case errors.As(err, &u) && u.status != 0:
		kind, hint = GaveUp, Hint{}
	case errors.As(err, &u):
		kind, hint = Unreachable, Hint{NotReached, u.host}
	}
	return &Error{Kind: kind, Host: registry, What: what, Hint: hint, Err: cause}
}
