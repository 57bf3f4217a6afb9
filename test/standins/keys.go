package standins

import (
	"slices"

	"github.com/multi-registry-push/multi-registry-push/internal/credentials"
)

// KeylessKeys returns the keys of registry-auth that belong to logins with a job's OIDC token
// alone: all that take part in a login but those of user names and passwords.
func KeylessKeys() []string {
	return slices.DeleteFunc(credentials.Keys(), func(name string) bool {
		return slices.Contains([]string{"username", "password", "password-env"}, name)
	})
}
