package credentials

import (
	"errors"
	"fmt"
	"slices"

	"github.com/multi-registry-push/multi-registry-push/internal/imageref"
)

// kind is a way to get a credential.
type kind int

const (
	none      kind = iota // options only
	anonymous             // no login
	static                // user name and password as they are
	accessKey             // an AWS access key for ECR
	role                  // an AWS role for ECR
	chain                 // the AWS default chain for ECR
	dockerHub
	google
	azure
)

// empty returns the first credential key that is there without a value, "" if all
// have one: the mark of a secret or variable that is not set.
func (i *Item) empty() string {
	for _, key := range i.keys() {
		if key.empty {
			return key.name
		}
	}
	return ""
}

type key struct {
	name  string
	empty bool
}

// keys returns the credential keys that are written in the item.
func (i *Item) keys() []key {
	var keys []key
	add := func(name string, v Value) {
		if v.Set {
			keys = append(keys, key{name, v.Text == ""})
		}
	}
	add("username", i.Username)
	if i.PasswordSet {
		keys = append(keys, key{"password", i.Password.IsZero()})
	}
	add("aws-role", i.AWSRole)
	add("dockerhub-connection", i.DockerHubConnection)
	add("gcp-provider", i.GCPProvider)
	add("gcp-service-account", i.GCPServiceAccount)
	add("azure-client", i.AzureClient)
	add("azure-tenant", i.AzureTenant)
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

// kind returns how the item gets its credential, or what is wrong with its keys.
// connection says that the environment names a connection to Docker Hub.
func (i *Item) kind(connection bool) (kind, error) {
	var names []string
	for _, k := range i.keys() {
		names = append(names, k.name)
	}
	has := func(name string) bool { return slices.Contains(names, name) }
	_, ecr := i.isECR()

	// Each way has its keys, and a host it is for.
	ways := []struct {
		kind     kind
		mark     string // the key that chooses this way
		needs    []string
		may      []string
		hosts    bool // whether the registry is one of its hosts
		forHosts string
	}{
		{role, "aws-role", nil, nil, ecr, "an ECR registry (or with `ecr: true`)"},
		{dockerHub, "dockerhub-connection", []string{"username"}, nil, i.Registry == imageref.DockerHub, "docker.io"},
		{google, "gcp-provider", nil, []string{"gcp-service-account"}, isGoogle(i.Registry), "*.pkg.dev and gcr.io"},
		{google, "gcp-service-account", []string{"gcp-provider"}, nil, isGoogle(i.Registry), "*.pkg.dev and gcr.io"},
		{azure, "azure-client", []string{"azure-tenant"}, nil, isACR(i.Registry), "*.azurecr.io"},
		{azure, "azure-tenant", []string{"azure-client"}, nil, isACR(i.Registry), "*.azurecr.io"},
		{static, "password", []string{"username"}, nil, true, ""},
	}
	for _, way := range ways {
		if !has(way.mark) {
			continue
		}
		if !way.hosts {
			return none, wrong(way.mark, "is for %s only, not for %s", way.forHosts, i.Registry)
		}
		for _, need := range way.needs {
			if !has(need) {
				return none, wrong(way.mark, "needs %s beside it", need)
			}
		}
		for _, name := range names {
			if name != way.mark && !slices.Contains(way.needs, name) && !slices.Contains(way.may, name) {
				return none, wrong(way.mark, "and %s do not go together: an item has one way to log in", name)
			}
		}
		if i.Anonymous {
			return none, wrong(way.mark, "and anonymous: true exclude each other")
		}
		if way.kind == static && ecr && i.Username.Text != "AWS" {
			// AWS is the user name of ECR's own passwords, and no access key.
			return accessKey, nil
		}
		return way.kind, nil
	}
	switch {
	case i.Anonymous && (len(names) > 0 || i.ECR == "true"):
		return none, wrong("anonymous", "and a way to log in exclude each other")
	case i.Anonymous:
		return anonymous, nil
	case has("username") && i.Registry == imageref.DockerHub:
		// Whether this is complete is known by the environment alone, and an unset
		// variable there is no error.
		if connection {
			return dockerHub, nil
		}
		return static, nil
	case has("username"):
		return none, wrong("username", "needs password beside it")
	case i.ECR == "true":
		return chain, nil
	}
	return none, nil
}

// Wrong returns what is wrong with the item's keys, and the key at fault, "" if
// nothing is: a key that lacks another, that is for other hosts, or that does not go with
// another. An item with an empty key is skipped, not wrong.
func (i *Item) Wrong() (key, what string) {
	if i.Registry == "" || i.Skip != "" || i.empty() != "" {
		return "", ""
	}
	var wrong *wrongKey
	if _, err := i.kind(true); errors.As(err, &wrong) {
		return wrong.key, wrong.what
	}
	return "", ""
}

// wrongKey is a key that cannot be used the way it is written.
type wrongKey struct{ key, what string }

func (w *wrongKey) Error() string { return w.what }

func wrong(key, format string, args ...any) error {
	return &wrongKey{key, key + " " + fmt.Sprintf(format, args...)}
}
