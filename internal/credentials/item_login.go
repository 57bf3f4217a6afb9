package credentials

import (
	"cmp"
	"fmt"

	"github.com/google/go-containerregistry/pkg/authn"
)

// fromItem returns the credential that an item names; decided is false if there is no item, or
// none that names one.
func (r *Resolver) fromItem(item *Item) (c Credential, decided bool) {
	if item == nil {
		return Credential{}, false
	}
	_, ecr := item.isECR()
	_, byName := parseECR(item.Registry)
	c = Credential{NeedsCreate: ecr || byName, Key: fmt.Sprintf("registry-auth:%d:%s", item.Line, item.Registry)}
	if c.NeedsCreate {
		c.create = loginOnly(item.Registry)
	}
	connection := r.o.Getenv(dockerHubConnection)
	method, err := item.loginMethod(connection != "")
	switch empty := item.emptyKey(); {
	case item.Skip != "":
		return c.skip(item.Skip), true
	case empty != "":
		return c.skip(empty + " in registry-auth is empty (" + item.where() + ")"), true
	case item.PasswordEnv.Set && item.Password.IsZero():
		return c.skip("the variable " + item.PasswordEnv.Text + ", which password-env in registry-auth names, " +
			"is unset or empty (" + item.where() + ")"), true
	case err != nil:
		return c.skip("its item in registry-auth is incomplete: " + err.Error()), true
	case method == optionsOnly:
		return Credential{}, false
	case method == anonymous:
		c.Anonymous, c.Origin = true, "anonymous"
		return c, true
	case method == static && !item.PasswordSet && !item.PasswordEnv.Set:
		return c.skip("its item in registry-auth has no password, and " + dockerHubConnection + " is unset"), true
	}
	r.logIn(&c, item, method, cmp.Or(item.DockerHubConnection.Text, connection))
	return c, true
}

// where says which item it is: several can be for one host.
func (i *Item) where() string {
	text := fmt.Sprintf("item in line %d", i.Line)
	if i.Path != "" {
		text += ", " + i.Registry + "/" + i.Path
	}
	return text
}

// logIn makes c the credential of an item that is complete.
func (r *Resolver) logIn(c *Credential, item *Item, method loginMethod, connection string) {
	user := fmt.Sprintf(" (user %q)", item.Username.Text)
	line := fmt.Sprintf("registry-auth, line %d", item.Line)
	//exhaustive:enforce
	switch method {
	case optionsOnly, anonymous: // these log nobody in
		return
	case static:
		c.Origin = "password from registry-auth" + user
		c.Account = fmt.Sprintf("user %q of %s", item.Username.Text, line)
		c.Auth = staticAuth{authn.AuthConfig{Username: item.Username.Text, Password: item.Password.Reveal()}}
		return
	case awsAccessKey:
		c.Origin = "AWS access key from registry-auth"
		c.Account = fmt.Sprintf("AWS access key %q of %s", item.Username.Text, line)
	case awsDefaultChain:
		c.Origin = "AWS default chain"
	case awsRole:
		c.Origin = "OIDC, AWS role " + item.AWSRole.Text
	case dockerHub:
		c.Origin = "OIDC, Docker Hub connection" + user
	case google:
		c.Origin = "OIDC, Google workload identity"
		if item.GCPServiceAccount.Set {
			c.Origin += " (service account " + item.GCPServiceAccount.Text + ")"
		}
	case azure:
		c.Origin = "OIDC, Microsoft Entra application " + item.AzureClient.Text
	case quay:
		c.Origin = "OIDC, Quay robot account " + item.QuayRobot.Text
	case jfrog:
		c.Origin = "OIDC, JFrog integration " + item.JFrogProvider.Text
	}
	if c.Account == "" {
		c.Account = c.Origin + " of " + line
	}
	if method.keyless() {
		if r.skipWithoutOIDC(c) {
			return
		}
		c.Subject = func() string { return r.subject(item.Registry) }
	}
	r.exchangeFor(c, item, method, connection)
}

// exchangeFor sets how the credential is got from its provider.
func (r *Resolver) exchangeFor(c *Credential, item *Item, method loginMethod, connection string) {
	host, _ := item.isECR()
	//exhaustive:enforce
	switch method {
	case optionsOnly, anonymous, static: // these have no provider
	case awsAccessKey:
		r.useECR(c, item.Registry, host, r.accessKey(item))
	case awsDefaultChain:
		r.useECR(c, item.Registry, host, r.defaultChain(item.Registry, host, true))
	case awsRole:
		r.useECR(c, item.Registry, host, r.assumedRole(item.Registry, host, item.AWSRole.Text, item.AWSSession.Text))
	case dockerHub:
		c.Auth = r.account(c.Key, r.exchangeDockerHub(item.Registry, item.Username.Text, connection))
	case google:
		c.Auth = r.account(c.Key, r.exchangeGoogle(item.Registry, item.GCPProvider.Text, item.GCPServiceAccount.Text))
	case azure:
		c.Auth = r.account(c.Key, r.exchangeAzure(item.Registry, item.AzureClient.Text, item.AzureTenant.Text))
	case quay:
		audience := cmp.Or(item.QuayAudience.Text, item.Registry)
		c.Auth = r.account(c.Key, r.exchangeQuay(item.Registry, item.QuayRobot.Text, audience))
	case jfrog:
		audience := cmp.Or(item.JFrogAudience.Text, jfrogAudience)
		c.Auth = r.account(c.Key, r.exchangeJFrog(item.Registry, item.JFrogProvider.Text, audience, item.JFrogURL.Text))
	}
}

// skipWithoutOIDC makes c a skip, and reports that it did, where the job can have no OIDC token
// because of who started it. Anywhere else a login without one fails, and says which permission
// to add.
func (r *Resolver) skipWithoutOIDC(c *Credential) bool {
	if r.job.hasOIDC() || !r.o.Untrusted {
		return false
	}
	*c = c.skip("the job has no OIDC token: it runs for a pull request from a fork or by Dependabot")
	return true
}
