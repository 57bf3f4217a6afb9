package credentials

import (
	"regexp"

	"github.com/multi-registry-push/multi-registry-push/internal/redact"
)

// Value is a text key of an item: whether it was written at all, and what it held. A
// credential key that is there but empty (null included) leaves the item skipped.
type Value struct {
	Set  bool
	Text string
}

// Item is one entry of registry-auth, as it was written and in canonical form. Whether
// its keys go together is told by [Item.Check].
type Item struct {
	Line     int    // in registry-auth, from 1
	Registry string // canonical host; empty together with Skip: the item is not configured
	Path     string // narrows the item to repositories below it, may be empty
	Skip     string // why the item is not configured ("registry is empty"), else ""

	Username    Value
	Password    redact.Text
	PasswordSet bool
	PasswordEnv Value // the variable that holds the password; [NewResolver] reads it

	ECR                 string // "auto", "true" or "false"
	AWSRole             Value
	AWSSession          Value // session name with AWSRole; empty means the default
	DockerHubConnection Value
	GCPProvider         Value
	GCPServiceAccount   Value
	AzureClient         Value
	AzureTenant         Value
	QuayRobot           Value // ORGANIZATION+ROBOT
	QuayAudience        Value // empty means the registry's host
	JFrogProvider       Value // name of the OIDC integration
	JFrogAudience       Value // empty means jfrog-github
	JFrogURL            Value // base address of the platform

	ECRTagMutability string   // of repositories that are created, as ECR spells it; empty means the default
	ECRTagExclusions []string // ECR's wildcard filters, with a mutability that ends in _WITH_EXCLUSION

	Anonymous    bool
	Public       bool // references are asked for anonymously after publishing
	Insecure     bool
	TagsMatching *regexp.Regexp // anchored; nil means every tag
	TagsWritten  string         // TagsMatching as the person wrote it
	Required     *bool          // nil: failures fail the step, missing credentials skip
}

// HasCredentialKey reports whether the item names any credential. One that
// does not sets options only.
func (i *Item) HasCredentialKey() bool {
	return len(i.keys()) > 0 || i.Anonymous || i.ECR == "true"
}

// has reports whether the item has a credential key of that name.
func (i *Item) has(name string) bool {
	for _, k := range i.keys() {
		if k.name == name {
			return true
		}
	}
	return false
}

// emptyKey returns the first credential key that is there without a value, "" if all
// have one: the mark of a secret or variable that is not set.
func (i *Item) emptyKey() string {
	for _, k := range i.keys() {
		if k.empty {
			return k.name
		}
	}
	return ""
}

// credentialKey is a key of an item that takes part in a login.
type credentialKey struct {
	name  string
	empty bool
}

// keys returns the credential keys that are written in the item. Those that have a default
// count only where they hold something.
func (i *Item) keys() []credentialKey {
	var keys []credentialKey
	add := func(name string, v Value) {
		if v.Set {
			keys = append(keys, credentialKey{name, v.Text == ""})
		}
	}
	withDefault := func(name string, v Value) {
		if v.Text != "" {
			add(name, v)
		}
	}
	add("username", i.Username)
	if i.PasswordSet {
		keys = append(keys, credentialKey{"password", i.Password.IsZero()})
	}
	add("password-env", i.PasswordEnv)
	add("aws-role", i.AWSRole)
	withDefault("aws-session", i.AWSSession)
	add("dockerhub-connection", i.DockerHubConnection)
	add("gcp-provider", i.GCPProvider)
	add("gcp-service-account", i.GCPServiceAccount)
	add("azure-client", i.AzureClient)
	add("azure-tenant", i.AzureTenant)
	add("quay-robot", i.QuayRobot)
	withDefault("quay-audience", i.QuayAudience)
	add("jfrog-provider", i.JFrogProvider)
	withDefault("jfrog-audience", i.JFrogAudience)
	add("jfrog-url", i.JFrogURL)
	return keys
}

// isECR reports whether the item's registry is ECR: by its name, or because the item
// says so.
func (i *Item) isECR() (ecrHost, bool) {
	h, byName := parseECR(i.Registry)
	switch i.ECR {
	case "true":
		return h, true
	case "false":
		return h, false
	}
	return h, byName
}
