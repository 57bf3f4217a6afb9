package credentials

import (
	"regexp"
	"slices"

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

// credentialKey is a key of an item that takes part in its login.
type credentialKey struct {
	name  string
	value func(*Item) *Value // nil for password, whose text is a secret

	// hasDefault says that a key without a value counts as one that is not there, where any
	// other leaves the item skipped: its default is no other login. jfrog-url is none of
	// them: where it is unset, the job's token would go to a host that nobody meant.
	hasDefault bool
}

// credentialKeys are all of them. What reads, checks or skips an item goes by this table alone:
// a key that one of them did not know would leave the registry to other credentials.
var credentialKeys = []credentialKey{
	{name: "username", value: func(i *Item) *Value { return &i.Username }},
	{name: "password"},
	{name: "password-env", value: func(i *Item) *Value { return &i.PasswordEnv }},
	{name: "aws-role", value: func(i *Item) *Value { return &i.AWSRole }},
	{name: "aws-session", value: func(i *Item) *Value { return &i.AWSSession }, hasDefault: true},
	{name: "dockerhub-connection", value: func(i *Item) *Value { return &i.DockerHubConnection }},
	{name: "gcp-provider", value: func(i *Item) *Value { return &i.GCPProvider }},
	{name: "gcp-service-account", value: func(i *Item) *Value { return &i.GCPServiceAccount }},
	{name: "azure-client", value: func(i *Item) *Value { return &i.AzureClient }},
	{name: "azure-tenant", value: func(i *Item) *Value { return &i.AzureTenant }},
	{name: "quay-robot", value: func(i *Item) *Value { return &i.QuayRobot }},
	{name: "quay-audience", value: func(i *Item) *Value { return &i.QuayAudience }, hasDefault: true},
	{name: "jfrog-provider", value: func(i *Item) *Value { return &i.JFrogProvider }},
	{name: "jfrog-audience", value: func(i *Item) *Value { return &i.JFrogAudience }, hasDefault: true},
	{name: "jfrog-url", value: func(i *Item) *Value { return &i.JFrogURL }},
}

// Keys returns the names of the keys that take part in a login.
func Keys() []string {
	var names []string
	for _, k := range credentialKeys {
		names = append(names, k.name)
	}
	return names
}

// Value returns where the value of a key that takes part in a login stands, nil for password
// and for all other keys.
func (i *Item) Value(name string) *Value {
	for _, k := range credentialKeys {
		if k.name == name && k.value != nil {
			return k.value(i)
		}
	}
	return nil
}

// HasCredentialKey reports whether the item names any credential. One that
// does not sets options only.
func (i *Item) HasCredentialKey() bool {
	return len(i.keys()) > 0 || i.Anonymous || i.ECR == "true"
}

// has reports whether the item has a credential key of that name.
func (i *Item) has(name string) bool { return slices.Contains(i.keys(), name) }

// emptyKey returns the first credential key that is there without a value, "" if all
// have one: the mark of a secret or variable that is not set.
func (i *Item) emptyKey() string {
	for _, name := range i.keys() {
		if v := i.Value(name); v == nil && i.Password.IsZero() || v != nil && v.Text == "" {
			return name
		}
	}
	return ""
}

// keys returns the credential keys that are written in the item. Those that have a default
// count only where they hold something.
func (i *Item) keys() []string {
	var names []string
	for _, k := range credentialKeys {
		set := i.PasswordSet
		if k.value != nil {
			v := k.value(i)
			set = v.Set && (v.Text != "" || !k.hasDefault)
		}
		if set {
			names = append(names, k.name)
		}
	}
	return names
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
