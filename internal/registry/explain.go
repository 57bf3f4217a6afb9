package registry

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"

	"github.com/multi-registry-push/multi-registry-push/internal/registry/auth"
	"github.com/multi-registry-push/multi-registry-push/internal/registry/transport"
	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

// explain turns err into a problem that names registry, repository and what was
// being done. Cancellation stays what it is, and so does what is a problem already.
func (r *Repository) explain(ctx context.Context, doing string, write bool, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var p *usererror.Problem
	if errors.As(err, &p) {
		return err
	}
	var content *contentError
	if errors.As(err, &content) {
		return content.err
	}
	code, remedy := r.diagnose(err, write)
	return usererror.New(code, r.c.o.Host, r.String()+": "+doing, remedy, err)
}

// diagnose finds the code for an error, and the remedy where that of the code is not
// the best.
func (r *Repository) diagnose(err error, write bool) (code usererror.Code, remedy string) {
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
		return usererror.UnsafeRedirect, ""
	case errors.As(err, &other):
		return usererror.NotARegistry, ""
	case errors.As(err, &account):
		return usererror.WrongCredentials, ""
	case errors.As(err, &service):
		if errors.As(err, &answer) && missing(answer) {
			return usererror.RepositoryMissing, ""
		}
		return usererror.RegistryRefused, ""
	case errors.As(err, &answer):
		return r.diagnoseAnswer(answer, write)
	case errors.As(err, &gaveUp) && errors.As(err, &away):
		return usererror.RegistryGaveUp, ""
	case errors.As(err, &dns):
		if dns.IsNotFound {
			return usererror.UnknownHost, ""
		}
		return usererror.Unreachable, "The name server did not answer; run the job again."
	case errors.As(err, &authority):
		return usererror.UnknownAuthority, ""
	case errors.As(err, &host), errors.As(err, &invalid), errors.As(err, &verify):
		// crypto/tls has looked at the machine's clock, whatever ours says.
		return usererror.CertificateInvalid, usererror.OutOfDate(err, time.Now())
	case transport.AnsweredInPlain(err):
		return usererror.TLSMismatch, ""
	case errors.As(err, &op) && op.Op == "proxyconnect":
		return usererror.Unreachable, "The proxy that HTTPS_PROXY or HTTP_PROXY names does not let us through: " +
			"check its address, or add the registry to NO_PROXY."
	case errors.Is(err, syscall.ECONNREFUSED):
		return usererror.Unreachable, r.inContainer()
	case errors.As(err, &gaveUp):
		if !r.c.host.Answered() {
			return usererror.Unreachable, ""
		}
		return usererror.RegistryGaveUp, ""
	}
	return usererror.RegistryRefused, ""
}

// inContainer returns the remedy for a service of the job that is looked for in the
// action's own container, "" elsewhere.
func (r *Repository) inContainer() string {
	if !r.c.host.Loopback() || !r.c.o.InContainer {
		return ""
	}
	return "Inside a container action " + r.c.host.Hostname() + " is the container itself: " +
		"reach a service of the job by its label, such as `registry:5000`, with `insecure: true`."
}

// allowed reports whether a refusal of a write is no matter of rights: they were proved,
// or the registry names another reason.
func (r *Repository) allowed(e *Error) bool {
	return !e.TokenService && (noMatterOfRights(e) || r.proof.is())
}

func (r *Repository) diagnoseAnswer(e *Error, write bool) (usererror.Code, string) {
	host := r.c.o.Host
	switch {
	case e.Status == http.StatusTooManyRequests:
		return usererror.RateLimited, ""
	case transport.TransientStatus(e.Status):
		return usererror.RegistryGaveUp, ""
	case e.TokenService && e.Status != http.StatusForbidden && e.Status < 500:
		return usererror.WrongCredentials, ""
	case e.Status == http.StatusUnauthorized && !write && !e.TokenService:
		return usererror.NoPullPermission, ""
	case write && !missing(e) && r.allowed(e):
		return usererror.RegistryRefused, ""
	case e.Status == http.StatusUnauthorized, e.Status == http.StatusForbidden:
		if !write {
			return usererror.NoPullPermission, ""
		}
		remedy := ""
		switch {
		case host == "ghcr.io" || strings.HasPrefix(host, "containers."):
			remedy = "Give the job `permissions: packages: write`; " +
				"a package that another repository created must also grant this repository write access in its " +
				"settings."
		case strings.Contains(host, "amazonaws.") || strings.Contains(host, ".on.aws"):
			remedy = "Allow ecr:InitiateLayerUpload, ecr:UploadLayerPart, ecr:CompleteLayerUpload, " +
				"ecr:BatchCheckLayerAvailability, ecr:BatchGetImage and ecr:PutImage on this repository."
		}
		return usererror.NoPushPermission, remedy
	case missing(e):
		return usererror.RepositoryMissing, ""
	}
	return usererror.RegistryRefused, ""
}
