package credentials

import (
	"cmp"
	"strings"
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
	kind, cause := kindOf(err)
	switch {
	case kind == WrongCredentials && asWritten:
		// The sentence around the cause says the same as ours: that a login failed. So does a bare
		// refusal itself.
		cause = cmp.Or(cause, err)
		if bare, ok := cause.(interface{ Bare() bool }); ok && bare.Bare() {
			cause = &cleaned{"", cause}
		}
		return &Error{Kind: WrongCredentials, Host: registry,
			What: who + " was refused: wrong password or expired token", Err: cause}
	case kind == WrongCredentials:
		return &Error{Kind: WrongCredentials, Host: registry, What: who + " was refused", Err: err}
	case kind == OIDCRefused:
		return &Error{Kind: OIDCRefused, Host: registry, What: who + " was refused", Err: err}
	case kind == NoPushPermission:
		return &Error{Kind: NoPushPermission, Host: registry, What: who + " may not push", Err: err}
	case kind == NoPullPermission:
		return &Error{Kind: NoPullPermission, Host: registry, What: who + " may not pull", Err: err}
	}
	return err
}
