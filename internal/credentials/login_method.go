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

// methodRule says which keys and hosts go with a key. The rule of the first key that an item has
// is the item's: its method is how the item logs in. A key that needs another which stands above
// it chooses nothing; its rule says what is missing where that one is not there.
type methodRule struct {
	key      string
	method   loginMethod
	needs    []string // keys that must stand beside it
	may      []string // keys that can
	applies  bool     // whether the item's registry is one of the method's
	forHosts string   // which those are, for people
}

func (i *Item) methodRules() []methodRule {
	_, ecr := i.isECR()
	const (
		ecrHosts   = "an ECR registry (or with `ecr: true`)"
		gcpHosts   = "*.pkg.dev and gcr.io"
		azureHosts = "*.azurecr.io"
		hubHosts   = "docker.io and dhi.io"
		quayHosts  = "quay.io and other registries that are Quay"
		jfrogHosts = "registries of a JFrog platform"
	)
	hub, gcp, acr := isDockerHub(i.Registry), isGoogle(i.Registry), isACR(i.Registry)
	other := !isKnownProvider(i.Registry) && !ecr
	jfrogNeeds, jfrogMay := []string{"jfrog-provider"}, []string{"jfrog-audience", "jfrog-url"}
	return []methodRule{
		{key: "aws-role", method: awsRole, may: []string{"aws-session"}, applies: ecr, forHosts: ecrHosts},
		{key: "aws-session", method: awsRole, needs: []string{"aws-role"}, applies: ecr, forHosts: ecrHosts},
		{key: "dockerhub-connection", method: dockerHub, needs: []string{"username"}, applies: hub, forHosts: hubHosts},
		{key: "gcp-provider", method: google, may: []string{"gcp-service-account"}, applies: gcp, forHosts: gcpHosts},
		{key: "gcp-service-account", method: google, needs: []string{"gcp-provider"}, applies: gcp, forHosts: gcpHosts},
		{key: "azure-client", method: azure, needs: []string{"azure-tenant"}, applies: acr, forHosts: azureHosts},
		{key: "azure-tenant", method: azure, needs: []string{"azure-client"}, applies: acr, forHosts: azureHosts},
		{key: "quay-robot", method: quay, may: []string{"quay-audience"}, applies: other, forHosts: quayHosts},
		{key: "quay-audience", method: quay, needs: []string{"quay-robot"}, applies: other, forHosts: quayHosts},
		{key: "jfrog-provider", method: jfrog, may: jfrogMay, applies: other, forHosts: jfrogHosts},
		{key: "jfrog-audience", method: jfrog, needs: jfrogNeeds, may: jfrogMay, applies: other, forHosts: jfrogHosts},
		{key: "jfrog-url", method: jfrog, needs: jfrogNeeds, may: jfrogMay, applies: other, forHosts: jfrogHosts},
		{key: "password", method: static, needs: []string{"username"}, applies: true},
		{key: "password-env", method: static, needs: []string{"username"}, applies: true},
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
