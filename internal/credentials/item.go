// Package credentials finds the credential of each registry, or the reason why there is
// none, and does the exchanges that turn a job's identity into a login.
package credentials

import (
	"regexp"

	"github.com/multi-registry-push/multi-registry-push/internal/redact"
)

// Value is a credential key of an item: whether it was written at all, and what
// it held. A key that is there but empty (null included) leaves the item skipped.
type Value struct {
	Set  bool
	Text string
}

// Item is one entry of registry-auth, checked and canonical.
type Item struct {
	Line     int    // in registry-auth, from 1
	Registry string // canonical host; empty together with Skip: the item is not configured
	Path     string // narrows the item to repositories below it, may be empty
	Skip     string // why the item is not configured ("registry is empty"), else ""

	Username    Value
	Password    redact.Text
	PasswordSet bool

	ECR                 string // "auto", "true" or "false"
	AWSRole             Value
	DockerHubConnection Value
	GCPProvider         Value
	GCPServiceAccount   Value
	AzureClient         Value
	AzureTenant         Value

	Anonymous    bool
	Insecure     bool
	TagsMatching *regexp.Regexp // anchored; nil means every tag
	TagsWritten  string         // TagsMatching as the person wrote it
	Required     *bool          // nil: failures fail the step, missing credentials skip
}

// HasCredentialKey reports whether the item names any credential. One that
// does not sets options only.
func (i *Item) HasCredentialKey() bool {
	return i.Username.Set || i.PasswordSet || i.AWSRole.Set || i.DockerHubConnection.Set ||
		i.GCPProvider.Set || i.GCPServiceAccount.Set || i.AzureClient.Set || i.AzureTenant.Set || i.Anonymous || i.ECR == "true"
}
