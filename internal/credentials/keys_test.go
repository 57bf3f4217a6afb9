package credentials

import (
	"reflect"
	"slices"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/multi-registry-push/multi-registry-push/internal/redact"
	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

// itemOfKey is for each credential key an item that is complete with it.
var itemOfKey = map[string]Item{
	"username":             {Registry: "docker.io", Username: set("acme"), DockerHubConnection: set("c")},
	"password":             {Registry: "quay.io", Username: set("acme"), Password: redact.New("pw12"), PasswordSet: true},
	"password-env":         {Registry: "quay.io", Username: set("acme"), PasswordEnv: set("QUAY_TOKEN")},
	"aws-role":             {Registry: ecrPrivate, ECR: "auto", AWSRole: set("arn:aws:iam::1:role/r")},
	"aws-session":          {Registry: ecrPrivate, ECR: "auto", AWSRole: set("arn:aws:iam::1:role/r"), AWSSession: set("release")},
	"dockerhub-connection": {Registry: "docker.io", Username: set("acme"), DockerHubConnection: set("c")},
	"gcp-provider":         {Registry: "gcr.io", GCPProvider: set("projects/1")},
	"gcp-service-account":  {Registry: "gcr.io", GCPProvider: set("projects/1"), GCPServiceAccount: set("a@b")},
	"azure-client":         {Registry: "acme.azurecr.io", AzureClient: set("c"), AzureTenant: set("t")},
	"azure-tenant":         {Registry: "acme.azurecr.io", AzureClient: set("c"), AzureTenant: set("t")},
	"quay-robot":           {Registry: "quay.io", QuayRobot: set("acme+publisher")},
	"quay-audience":        {Registry: "quay.io", QuayRobot: set("acme+publisher"), QuayAudience: set("a")},
	"jfrog-provider":       {Registry: "acme.jfrog.io", JFrogProvider: set("github")},
	"jfrog-audience":       {Registry: "acme.jfrog.io", JFrogProvider: set("github"), JFrogAudience: set("a")},
	"jfrog-url":            {Registry: "acme.jfrog.io", JFrogProvider: set("github"), JFrogURL: set("https://acme.jfrog.io")},
}

// A key that the table lacks would be read and never be used.
func TestEveryValueOfAnItemIsAKey(t *testing.T) {
	var item Item
	keys := map[*Value]string{}
	for _, name := range Keys() {
		if v := item.Value(name); v != nil {
			if keys[v] != "" {
				t.Errorf("%s and %s are the same value", keys[v], name)
			}
			keys[v] = name
		}
	}
	fields := reflect.ValueOf(&item).Elem()
	for i := range fields.NumField() {
		if v, ok := fields.Field(i).Addr().Interface().(*Value); ok && keys[v] == "" {
			t.Errorf("%s belongs to no key", fields.Type().Field(i).Name)
		}
	}
}

// Each key alone is a login of its own or an error, and never leaves the registry to other
// credentials; without a value, and without a default, it leaves it skipped.
func TestNoKeyFallsThrough(t *testing.T) {
	for _, k := range credentialKeys {
		for _, value := range []string{"x", ""} {
			if value == "" && k.hasDefault {
				continue
			}
			item := Item{Line: 1, Registry: "ghcr.io"}
			if k.value != nil {
				*k.value(&item) = set(value)
			} else {
				item.PasswordSet, item.Password = true, redact.New(value)
			}
			r, _ := NewResolver(Options{Items: []Item{item}, GitHubToken: redact.New("ghs_x"), Job: Job{ServerURL: github}})
			if c := r.For(t.Context(), repo("ghcr.io", "acme/app")); c.Skip == "" || c.Auth != authn.Anonymous {
				t.Errorf("%s: %q got %q, and is not skipped", k.name, value, c.Origin)
			}
		}
	}
	var ruled []string
	for _, rule := range new(Item).methodRules() {
		ruled = append(ruled, rule.key)
	}
	for _, name := range Keys() {
		if name != "username" && !slices.Contains(ruled, name) {
			t.Errorf("no rule says what %s is for", name)
		}
	}
}

// No login is left out of one of the switches: each asks for the job's OIDC token, is a skip
// where a fork's job has none, and never sends nothing in place of a credential.
func TestEveryKeyLogsIn(t *testing.T) {
	for _, name := range Keys() {
		item, ok := itemOfKey[name]
		if wrong := item.Check(); !ok || !item.has(name) || len(wrong) > 0 {
			t.Errorf("there is no item that is complete with %s: %v", name, wrong)
			continue
		}
		keyless := name != "password" && name != "password-env"
		for _, untrusted := range []bool{false, true} {
			r, _ := NewResolver(Options{Items: []Item{item}, Untrusted: untrusted, Getenv: env("QUAY_TOKEN", "pw12")})
			c := r.For(t.Context(), repo(item.Registry, "acme/app"))
			if !keyless {
				if user, password := credential(t, c); user != "acme" || password != "pw12" {
					t.Errorf("%s: %q logs in with %q", name, user, password)
				}
				continue
			}
			if (c.Skip != "") != untrusted {
				t.Errorf("%s, untrusted %t: skip %q", name, untrusted, c.Skip)
			}
			if untrusted {
				continue
			}
			if c.Subject == nil || c.Origin == "" {
				t.Errorf("%s: origin %q, with a subject %t", name, c.Origin, c.Subject != nil)
			}
			if config, err := c.Auth.Authorization(); !usererror.Is(err, usererror.OIDCMissing) {
				t.Errorf("%s without an OIDC token: %v, %v", name, config, err)
			}
		}
	}
}

// A method that a switch forgot fails.
func TestForgottenMethodFails(t *testing.T) {
	r, _ := NewResolver(Options{})
	item := Item{Line: 1, Registry: "acme.example"}
	var c Credential
	r.logIn(&c, &item, loginMethod(-1), "")
	r.complete(&c, item.Registry)
	if config, err := c.Auth.Authorization(); !usererror.Is(err, usererror.Internal) {
		t.Errorf("%v, %v", config, err)
	}
}
