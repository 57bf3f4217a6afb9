package registry

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"syscall"

	"github.com/multi-registry-push/multi-registry-push/internal/registry/auth"
	"github.com/multi-registry-push/multi-registry-push/internal/registry/transport"
)

// explain returns err as an *OperationError. Cancellation stays what it is, and so does
// what is one already, or has words for people of its own.
func (r *Repository) explain(ctx context.Context, doing string, write bool, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if isFailure(err) {
		return err
	}
	if content, ok := errors.AsType[*contentError](err); ok {
		return content.err
	}
	kind := r.diagnose(err, write)
	if (kind == NoPullPermission || kind == NoPushPermission) && r.refusesPassword(ctx, err) {
		kind = WrongCredentials
	}
	return r.failed(kind, doing, err)
}

// failed returns the error of an operation.
func (r *Repository) failed(kind Kind, operation string, err error) error {
	return &OperationError{Host: r.c.o.Host, Path: r.path, Operation: operation, Kind: kind, Err: err}
}

// diagnose finds out what went wrong.
func (r *Repository) diagnose(err error, write bool) Kind {
	var (
		unsafe    *transport.UnsafeError
		other     *transport.NotRegistryError
		gaveUp    *transport.GaveUpError
		away      *transport.ElsewhereError
		answer    *Error
		dns       *net.DNSError
		authority x509.UnknownAuthorityError
		host      x509.HostnameError
		invalid   x509.CertificateInvalidError
		verify    *tls.CertificateVerificationError
		account   *auth.AccountError
		service   *auth.ServiceError
		op        *net.OpError
	)
	switch {
	case errors.As(err, &unsafe):
		return UnsafeRedirect
	case errors.As(err, &other):
		return NotARegistry
	case errors.As(err, &account):
		return WrongCredentials
	case errors.As(err, &service):
		if errors.As(err, &answer) && missing(answer) {
			return RepositoryMissing
		}
		return Refused
	case errors.As(err, &answer):
		return r.diagnoseAnswer(answer, write)
	case errors.As(err, &gaveUp) && errors.As(err, &away):
		return GaveUp
	case errors.As(err, &dns):
		if dns.IsNotFound {
			return UnknownHost
		}
		return NameServerSilent
	case errors.As(err, &authority):
		return UnknownAuthority
	case errors.As(err, &host), errors.As(err, &invalid), errors.As(err, &verify):
		// crypto/tls has looked at the machine's clock, whatever ours says.
		return CertificateInvalid
	case transport.AnsweredInPlain(err):
		return TLSMismatch
	case errors.As(err, &op) && op.Op == "proxyconnect":
		return ProxyRefused
	case errors.Is(err, syscall.ECONNREFUSED) && !r.c.host.Answered():
		if r.c.host.Loopback() && r.c.o.InContainer {
			return LoopbackInside
		}
		return Unreachable
	case errors.As(err, &gaveUp), errors.Is(err, syscall.ECONNREFUSED):
		if !r.c.host.Answered() {
			return Unreachable
		}
		return GaveUp
	}
	return Refused
}

// allowed reports whether a refusal of a write is no matter of rights: they were proved,
// or the registry names another reason.
func (r *Repository) allowed(e *Error) bool {
	return !e.TokenService && (noMatterOfRights(e) || r.permission.is())
}

// diagnoseAnswer finds out what a registry says.
func (r *Repository) diagnoseAnswer(e *Error, write bool) Kind {
	switch {
	case e.Status == http.StatusTooManyRequests:
		return RateLimited
	case transport.TransientStatus(e.Status):
		return GaveUp
	case e.TokenService && e.Status != http.StatusForbidden && e.Status < 500:
		return WrongCredentials
	case e.Status == http.StatusUnauthorized && !write && !e.TokenService:
		return NoPullPermission
	case write && !missing(e) && r.allowed(e):
		return Refused
	case e.Status == http.StatusUnauthorized, e.Status == http.StatusForbidden:
		if !write {
			return NoPullPermission
		}
		return NoPushPermission
	case missing(e):
		return RepositoryMissing
	}
	return Refused
}
