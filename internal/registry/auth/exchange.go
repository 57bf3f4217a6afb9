package auth

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/multi-registry-push/multi-registry-push/internal/imageref"
	"github.com/multi-registry-push/multi-registry-push/internal/redact"
	"github.com/multi-registry-push/multi-registry-push/internal/registry/transport"
)

// maxTokenAnswer bounds a token service's answer, in bytes; tokens are a few KiB.
const maxTokenAnswer = 64 << 10

// issuedToken is what a token service gives.
type issuedToken struct {
	value string
	life  time.Duration // 0 if it did not say
}

// exchange gets a token from the realm of ch: by GET with the password (distribution
// spec, "Token Authentication"), or by POST with an identity token (its OAuth 2 variant),
// and by GET where the service does not have that. A 404 or 405 of the latter is its answer.
func (h *Host) exchange(ctx context.Context, ch challenge, cfg *authn.AuthConfig,
	scopes []string) (issuedToken, error) {
	var err error
	for i, realm := range h.realms(ch.realm) {
		var token issuedToken
		token, err = h.exchangeAt(ctx, realm, ch, cfg, scopes)
		if err == nil {
			return token, nil
		}
		if i > 0 {
			err = &transport.NamedError{Host: h.t.Redact(hostOf(ch.realm)), Err: err}
		}
		var answer *transport.Error
		var service *ServiceError
		if errors.As(err, &answer) || errors.As(err, &service) || ctx.Err() != nil {
			return token, err
		}
	}
	return issuedToken{}, err
}

// realms returns where to ask for tokens, in order. A registry behind a proxy often calls
// itself http://, or by a port that it listens on itself: what was reached by TLS is called
// by TLS, on the port that it names and then on that of the registry.
func (h *Host) realms(realm string) []string {
	u, err := url.Parse(realm)
	base := h.t.Base()
	own := err == nil && transport.SameName(u, &base)
	if err != nil || !own && (!h.t.Loopback() || !imageref.Loopback(u.Host)) {
		return []string{realm}
	}
	if base.Scheme == "https" && u.Scheme == "http" {
		if u.Scheme = "https"; u.Port() == "80" {
			u.Host = u.Hostname()
		}
	}
	realms := []string{u.String()}
	if own && !h.t.Owns(u) {
		u.Scheme, u.Host = base.Scheme, base.Host
		realms = append(realms, u.String())
	}
	return realms
}

// hostOf returns the host of a URL, "" if it is none.
func hostOf(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	return u.Host
}

func (h *Host) exchangeAt(
	ctx context.Context, realm string, ch challenge, cfg *authn.AuthConfig, scopes []string,
) (issuedToken, error) {
	u, err := url.Parse(realm)
	if err != nil {
		return issuedToken{}, &transport.UnsafeError{What: "the realm that the registry names for tokens is no URL"}
	}
	u.User, u.Fragment = nil, ""
	if cfg.IdentityToken != "" {
		form := url.Values{
			"grant_type": {"refresh_token"}, "refresh_token": {cfg.IdentityToken}, "client_id": {"multi-registry-push"},
			"service": {ch.service}, "scope": {strings.Join(scopes, " ")},
		}
		token, err := h.ask(ctx, http.MethodPost, u, form.Encode(), "")
		var answer *transport.Error
		if !errors.As(err, &answer) || answer.Status != http.StatusNotFound &&
			answer.Status != http.StatusMethodNotAllowed {
			return token, err
		}
	}
	query := u.Query()
	if ch.service != "" {
		query.Set("service", ch.service)
	}
	if query.Del("scope"); len(scopes) > 0 {
		query["scope"] = scopes
	}
	u.RawQuery = query.Encode()
	return h.ask(ctx, http.MethodGet, u, "", basicHeader(cfg))
}

// ask sends one request to a token service.
func (h *Host) ask(ctx context.Context, method string, u *url.URL, form, header string) (issuedToken, error) {
	req, err := http.NewRequestWithContext(ctx, method, u.String(), strings.NewReader(form))
	if err != nil {
		return issuedToken{}, &transport.UnsafeError{What: "the realm that the registry names for tokens is no URL"}
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if header != "" {
		req.Header.Set("Authorization", header)
	}
	client := &http.Client{Transport: &realm{h: h.t}}
	resp, err := client.Do(req)
	if err != nil {
		return issuedToken{}, h.bare(ctx, err)
	}
	h.contacted.Store(transport.HostPort(u), true)
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		answer := h.t.Answer(resp)
		answer.TokenService = true
		if judges(answer.Status) {
			return issuedToken{}, answer
		}
		return issuedToken{}, &ServiceError{Host: h.t.Redact(u.Host), Err: answer}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxTokenAnswer+1))
	switch {
	case err != nil:
		return issuedToken{}, h.bare(ctx, err)
	case len(body) > maxTokenAnswer:
		return issuedToken{}, &ServiceError{Host: h.t.Redact(u.Host), Err: errors.New("with more than 64 KiB")}
	}
	token, err := h.readToken(body)
	if err != nil {
		return issuedToken{}, &ServiceError{Host: h.t.Redact(u.Host), Err: err}
	}
	return token, nil
}

// judges reports whether a status of a token service is a judgement on the credentials, or
// may be one the next time: 401 and 403 (distribution spec, "Token Authentication"), 400
// (RFC 6749, 5.2), and what passes. Any other says that no token is to be had there.
func judges(status int) bool {
	switch status {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden:
		return true
	}
	return transport.TransientStatus(status)
}

// ServiceError says that what answers at a realm is no token service that serves this
// registry. That is no judgement on the credentials.
type ServiceError struct {
	Host string // of the realm, redacted
	Err  error  // a *transport.Error, or what is wrong with an answer of 2xx
}

// Error returns what was answered, and by whom.
func (e *ServiceError) Error() string {
	if answer, ok := errors.AsType[*transport.Error](e.Err); ok {
		return fmt.Sprintf("the token service at %s answered %s", e.Host, answer.Said())
	}
	return fmt.Sprintf("the token service at %s answered %v", e.Host, e.Err)
}

// Unwrap returns the answer.
func (e *ServiceError) Unwrap() error { return e.Err }

// Transient returns false.
func (e *ServiceError) Transient() bool { return false }

// readToken reads a token service's answer. Nothing of it is repeated: that may be a
// secret under a name that nobody expects.
func (h *Host) readToken(body []byte) (issuedToken, error) {
	var answer struct {
		Token        string          `json:"token"`
		AccessToken  string          `json:"access_token"`
		RefreshToken string          `json:"refresh_token"`
		ExpiresIn    json.RawMessage `json:"expires_in"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		if bytes.HasPrefix(bytes.TrimSpace(body), []byte("<")) {
			return issuedToken{}, errors.New("with a page of HTML, not a token")
		}
		return issuedToken{}, errors.New("with something that is no JSON")
	}
	for _, s := range []string{answer.Token, answer.AccessToken, answer.RefreshToken} {
		if s != "" {
			h.t.Options().Redactor.LearnIssued(h.t.Options().Host, redact.New(s))
		}
	}
	value := answer.AccessToken
	if value == "" {
		value = answer.Token
	}
	switch {
	case value == "":
		return issuedToken{}, errors.New("without a token")
	case !redact.ValidToken(value):
		return issuedToken{}, errInvalidToken
	}
	return issuedToken{value: value, life: lifetime(answer.ExpiresIn)}, nil
}

// lifetime reads expires_in, in seconds: a number, whole or not, as such or as text. 0 if
// it is something else; then a 401 tells when the token has expired.
func lifetime(raw json.RawMessage) time.Duration {
	seconds, err := strconv.ParseFloat(strings.Trim(string(raw), "\" \t\r\n"), 64)
	if err != nil || !(seconds > 0) {
		return 0
	}
	return time.Duration(min(seconds, 1<<31) * float64(time.Second))
}

// bare returns an exchange's failure without its URL, and the caller's reason if it was
// the caller's.
func (h *Host) bare(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}

// realm sends the requests of a token exchange. Credentials go to the realm and
// nowhere else: a redirect to another host ends the exchange.
type realm struct {
	h    *transport.Host
	host string
}

// RoundTrip implements http.RoundTripper.
func (r *realm) RoundTrip(req *http.Request) (*http.Response, error) {
	own := r.h.Owns(req.URL)
	if err := r.h.CheckURL(req.URL); err != nil && !own {
		return nil, &transport.UnsafeError{What: "the realm that the registry names for tokens is " + err.Error()}
	}
	at := req.URL.Scheme + "://" + transport.HostPort(req.URL)
	if r.host == "" {
		r.host = at
	}
	if at != r.host {
		return nil, &transport.UnsafeError{What: fmt.Sprintf("the token server redirects to %s: credentials do not "+
			"follow", req.URL.Host)}
	}
	return r.h.Send(req.Clone(req.Context()), transport.Sending{Foreign: !own, Kind: transport.KindToken})
}
