package credentials

import (
	"strings"

	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

// Refused returns err, of a registry or of a provider, with the account that it is about:
// whose credential it was and where it stands, since one host can have several. An error that
// is no matter of the account is returned as it is.
func (c Credential) Refused(registry string, err error) error {
	if c.Account == "" {
		return err
	}
	who := c.Account
	if strings.Contains(who, ", line ") {
		who += ","
	}
	_, asWritten := c.Auth.(staticAuth)
	switch {
	case usererror.Is(err, usererror.WrongCredentials) && asWritten:
		return usererror.New(usererror.WrongCredentials, registry,
			who+" was refused: wrong password or expired token", usererror.Advice(err), answer(err))
	case usererror.Is(err, usererror.WrongCredentials):
		return usererror.New(usererror.WrongCredentials, registry, who+" was refused", usererror.Advice(err), err)
	case usererror.Is(err, usererror.OIDCRefused):
		return usererror.New(usererror.OIDCRefused, registry, who+" was refused", usererror.Advice(err), err)
	case usererror.Is(err, usererror.NoPushPermission):
		return usererror.New(usererror.NoPushPermission, registry, who+" may not push", usererror.Advice(err), err)
	case usererror.Is(err, usererror.NoPullPermission):
		return usererror.New(usererror.NoPullPermission, registry, who+" may not pull", usererror.Advice(err), err)
	}
	return err
}

// answer returns what the registry answered, without the sentence around it that says the
// same as ours: that a login failed.
func answer(err error) error {
	if p := usererror.Of(err); p != nil && p.Err != nil {
		return p.Err
	}
	return err
}
