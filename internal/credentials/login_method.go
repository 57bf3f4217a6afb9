package credentials

import (
	"fmt"
	"slices"
)

// loginMethod is how an item gets its credential.
type loginMethod int

const (
	optionsOnly     loginMethod = iota // the item names no credential
	anonymous                          // no login
	static                             // user name and password as they are
	awsAccessKey                       // an AWS access key, then ECR
	awsRole                            // an AWS role, assumed with the job's OIDC token, then ECR
	awsDefaultChain                    // what the AWS SDK finds, then ECR
	dockerHub
	google
	azure
	quay
	jfrog
)

// keyless reports whether the method needs the job's OIDC token.
func (m loginMethod) keyless() bool {
	//exhaustive:enforce
	switch m {
	case optionsOnly, anonymous, static, awsAccessKey, awsDefaultChain:
		return false
	case awsRole, dockerHub, google, azure, quay, jfrog:
		return true
	}
	return true // where there is no such token, it is a skip or an error, and not a login as nobody
}

// methodRule says which keys and hosts a method takes.
type methodRule struct {
	method   loginMethod
	key      string   // the key that chooses the method
	needs    []string // keys that must stand beside it
	may      []string // keys that can
	applies  bool     // whether the item's registry is one of the method's
	forHosts string   // which those are, for people
}

func (i *Item) methodRules() []methodRule {
	_, ecr := i.isECR()
	const (
		ecrHosts    = "an ECR registry (or with `ecr: true`)"
		googleHosts = "*.pkg.dev and gcr.io"
		azureHosts  = "*.azurecr.io"
	)
	hub, gcp, acr := isDockerHub(i.Registry), isGoogle(i.Registry), isACR(i.Registry)
	other := !hasOwnLogin(i.Registry) && !ecr
	jfrogMay := []string{"jfrog-audience", "jfrog-url"}
	return []methodRule{
		{awsRole, "aws-role", nil, []string{"aws-session"}, ecr, ecrHosts},
		{awsRole, "aws-session", []string{"aws-role"}, nil, ecr, ecrHosts},
		{dockerHub, "dockerhub-connection", []string{"username"}, nil, hub, "docker.io and dhi.io"},
		{google, "gcp-provider", nil, []string{"gcp-service-account"}, gcp, googleHosts},
		{google, "gcp-service-account", []string{"gcp-provider"}, nil, gcp, googleHosts},
		{azure, "azure-client", []string{"azure-tenant"}, nil, acr, azureHosts},
		{azure, "azure-tenant", []string{"azure-client"}, nil, acr, azureHosts},
		{quay, "quay-robot", nil, []string{"quay-audience"}, other, "quay.io and other registries that are Quay"},
		{quay, "quay-audience", []string{"quay-robot"}, nil, other, "quay.io and other registries that are Quay"},
		{jfrog, "jfrog-provider", nil, jfrogMay, other, "registries of a JFrog platform"},
		{jfrog, "jfrog-audience", []string{"jfrog-provider"}, jfrogMay, other, "registries of a JFrog platform"},
		{jfrog, "jfrog-url", []string{"jfrog-provider"}, jfrogMay, other, "registries of a JFrog platform"},
		{static, "password", []string{"username"}, nil, true, ""},
		{static, "password-env", []string{"username"}, nil, true, ""},
	}
}

// loginMethod returns how the item gets its credential. connection says that the
// environment names a connection to Docker Hub. Its error is a *KeyError.
func (i *Item) loginMethod(connection bool) (loginMethod, error) {
	for _, rule := range i.methodRules() {
		if !i.has(rule.key) {
			continue
		}
		if err := i.follows(rule); err != nil {
			return optionsOnly, err
		}
		if _, ecr := i.isECR(); rule.method == static && ecr && i.Username.Text != "AWS" {
			// AWS is the user name of ECR's own passwords, and no access key.
			return awsAccessKey, nil
		}
		return rule.method, nil
	}
	switch {
	case i.Anonymous && (len(i.keys()) > 0 || i.ECR == "true"):
		return optionsOnly, keyError("anonymous", "and a way to log in exclude each other")
	case i.Anonymous:
		return anonymous, nil
	case i.has("username") && isDockerHub(i.Registry):
		// Whether this is complete is known by the environment alone, and an unset
		// variable there is no error.
		if connection {
			return dockerHub, nil
		}
		return static, nil
	case i.has("username"):
		return optionsOnly, keyError("username", "needs password beside it")
	case len(i.keys()) > 0: // one without a rule must not leave the registry to other credentials
		return optionsOnly, keyError(i.keys()[0], "is no way to log in")
	case i.ECR == "true":
		return awsDefaultChain, nil
	}
	return optionsOnly, nil
}

// follows returns a *KeyError where the item breaks the rule of its method.
func (i *Item) follows(rule methodRule) error {
	if !rule.applies {
		return keyError(rule.key, "is for %s only, not for %s", rule.forHosts, i.Registry)
	}
	for _, need := range rule.needs {
		if !i.has(need) {
			return keyError(rule.key, "needs %s beside it", need)
		}
	}
	for _, k := range i.keys() {
		if k != rule.key && !slices.Contains(rule.needs, k) && !slices.Contains(rule.may, k) {
			return keyError(rule.key, "and %s do not go together: an item has one way to log in", k)
		}
	}
	if i.Anonymous {
		return keyError(rule.key, "and anonymous: true exclude each other")
	}
	return nil
}

// KeyError is a key of an item that cannot be used the way it is written. It holds no value
// of a secret key.
type KeyError struct {
	Key  string
	What string // begins with the key
}

func (e *KeyError) Error() string { return e.What }

func keyError(key, format string, args ...any) *KeyError {
	return &KeyError{key, key + " " + fmt.Sprintf(format, args...)}
}
