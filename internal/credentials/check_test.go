package credentials

import (
	"strings"
	"testing"

	"github.com/multi-registry-push/multi-registry-push/internal/redact"
)

func TestCheckAccepts(t *testing.T) {
	ok := []Item{
		login(1, "quay.io", "", "u", "p"),
		{Registry: "docker.io", Username: set("u")}, // the environment may name a connection
		{Registry: "docker.io", Username: set("u"), DockerHubConnection: set("c")},
		{Registry: "dhi.io", Username: set("u"), DockerHubConnection: set("c")},
		{Registry: "gcr.io", GCPProvider: set("p")},
		{Registry: "a.azurecr.io", AzureClient: set("c"), AzureTenant: set("t")},
		{Registry: "ecr.example.com", ECR: "true", AWSRole: set("r")},
		{Registry: ecrPrivate, ECR: "auto", AWSRole: set("r"), AWSSession: set("release@42")},
		{Registry: ecrPrivate, ECR: "auto", AWSRole: set("r"), AWSSession: set("")},
		{Registry: "quay.io", QuayRobot: set("acme+publisher")},
		{Registry: "quay.example.com:8443", QuayRobot: set("acme+publisher"), QuayAudience: set("https://acme.example")},
		{Registry: "acme.jfrog.io", JFrogProvider: set("github")},
		{Registry: "docker.acme.example", JFrogProvider: set("github"), JFrogAudience: set("a"), JFrogURL: set("https://acme.jfrog.io/")},
		{Registry: "localhost:5000", JFrogProvider: set("github"), JFrogURL: set("http://localhost:8082")},
		{Registry: "quay.io", Username: set("u"), PasswordEnv: set("QUAY_TOKEN")},
		{Registry: "quay.io", Username: set("")}, // unset, not wrong
		{Registry: "docker.io", QuayRobot: set("")},
		{Skip: "registry is empty", Username: set("u")},
		{Registry: "quay.io", Insecure: true},
		{Registry: "quay.io", Anonymous: true},
		{Registry: "ghcr.io", Public: true},
		{Registry: "public.ecr.aws", ECR: "auto", Public: true},
		{Registry: ecrPrivate, ECR: "auto", ECRTagMutability: "IMMUTABLE"},
		{Registry: "ecr.example.com", ECR: "true", ECRTagMutability: "IMMUTABLE_WITH_EXCLUSION", ECRTagExclusions: []string{"latest", "dev-*"}},
	}
	for _, i := range ok {
		if wrong := i.Check(); len(wrong) > 0 {
			t.Errorf("%+v: %v", i, wrong)
		}
	}
}

func TestCheckRefuses(t *testing.T) {
	password := redact.New("the-password")
	exclusions := func(filters ...string) Item {
		return Item{Registry: ecrPrivate, ECR: "auto", ECRTagMutability: "IMMUTABLE_WITH_EXCLUSION", ECRTagExclusions: filters}
	}
	wrong := map[string]Item{
		"username needs password":                       {Registry: "quay.io", Username: set("u")},
		"username holds a colon":                        {Registry: "quay.io", Username: set("u:the-password"), Password: password, PasswordSet: true},
		"password needs username":                       {Registry: "quay.io", Password: password, PasswordSet: true},
		"password-env needs username":                   {Registry: "quay.io", PasswordEnv: set("TOKEN")},
		"password and password-env do not go":           {Registry: "quay.io", Username: set("u"), Password: password, PasswordSet: true, PasswordEnv: set("TOKEN")},
		"dockerhub-connection needs username":           {Registry: "docker.io", DockerHubConnection: set("c")},
		"dockerhub-connection and password do not go":   {Registry: "docker.io", DockerHubConnection: set("c"), Username: set("u"), Password: password, PasswordSet: true},
		"dockerhub-connection is for docker.io and dhi": {Registry: "quay.io", DockerHubConnection: set("c"), Username: set("u")},
		"gcp-service-account needs gcp-provider":        {Registry: "gcr.io", GCPServiceAccount: set("s")},
		"azure-tenant needs azure-client":               {Registry: "a.azurecr.io", AzureTenant: set("t")},
		"aws-role and username do not go":               {Registry: ecrPrivate, AWSRole: set("r"), Username: set("u")},
		"aws-role is for an ECR registry":               {Registry: ecrPrivate, ECR: "false", AWSRole: set("r")},
		"aws-session needs aws-role":                    {Registry: ecrPrivate, AWSSession: set("s1")},
		"aws-session is 2 to 64":                        {Registry: ecrPrivate, AWSRole: set("r"), AWSSession: set("a b")},
		"aws-session is 2 to 64 letters":                {Registry: ecrPrivate, AWSRole: set("r"), AWSSession: set(strings.Repeat("a", 65))},
		"password and anonymous: true exclude":          {Registry: "quay.io", Anonymous: true, Username: set("u"), Password: password, PasswordSet: true},
		"anonymous and a way to log in exclude":         {Registry: "quay.io", Anonymous: true, Username: set("u")},
		"quay-robot and anonymous: true exclude":        {Registry: "quay.io", Anonymous: true, QuayRobot: set("a+b")},
		"gcp-provider is for *.pkg.dev and gcr.io only": {Registry: "quay.io", GCPProvider: set("p")},
		"quay-robot is for quay.io and other":           {Registry: "docker.io", QuayRobot: set("acme+publisher")},
		"quay-robot is not ORGANIZATION+ROBOT":          {Registry: "quay.io", QuayRobot: set("publisher")},
		"quay-audience needs quay-robot":                {Registry: "quay.io", QuayAudience: set("a")},
		"quay-robot and username do not go":             {Registry: "quay.io", QuayRobot: set("a+b"), Username: set("u")},
		"jfrog-provider is for registries of a JFrog":   {Registry: "ghcr.io", JFrogProvider: set("github")},
		"jfrog-audience needs jfrog-provider":           {Registry: "acme.jfrog.io", JFrogAudience: set("a")},
		"jfrog-url needs jfrog-provider":                {Registry: "acme.jfrog.io", JFrogURL: set("https://acme.jfrog.io")},
		"jfrog-url is not the HTTPS address":            {Registry: "acme.jfrog.io", JFrogProvider: set("p"), JFrogURL: set("http://acme.jfrog.io")},
		"quay-robot and jfrog-provider do not go":       {Registry: "acme.example", JFrogProvider: set("p"), QuayRobot: set("a+b")},
		"public is not for private ECR":                 {Registry: ecrPrivate, ECR: "auto", Public: true},
		"ecr-tag-mutability is for a private ECR":       {Registry: "quay.io", ECR: "auto", ECRTagMutability: "IMMUTABLE"},
		"ecr-tag-mutability is not for ECR Public":      {Registry: "public.ecr.aws", ECR: "auto", ECRTagMutability: "IMMUTABLE"},
		"ecr-tag-mutability is none of MUTABLE":         {Registry: ecrPrivate, ECR: "auto", ECRTagMutability: "FIXED"},
		"ecr-tag-mutability needs ecr-tag-exclusions":   exclusions(),
		"ecr-tag-exclusions needs ecr-tag-mutability":   {Registry: ecrPrivate, ECR: "auto", ECRTagMutability: "IMMUTABLE", ECRTagExclusions: []string{"latest"}},
		"ecr-tag-exclusions has 6 filters":              exclusions("a", "b", "c", "d", "e", "f"),
		"ecr-tag-exclusions holds \"v?\"":               exclusions("latest", "v?"),
		"ecr-tag-exclusions holds":                      exclusions(strings.Repeat("a", 129)),
	}
	for want, i := range wrong {
		found := i.Check()
		if len(found) != 1 {
			t.Errorf("want %q, got %v", want, found)
			continue
		}
		if e := found[0]; !strings.HasPrefix(e.What, want) || !strings.HasPrefix(want, e.Key+" ") {
			t.Errorf("want %q, got %q at %s", want, e.What, e.Key)
		}
		if strings.Contains(found[0].What, password.Reveal()) {
			t.Errorf("the message holds the secret: %s", found[0].What)
		}
	}
	// The login and the options are told together.
	both := Item{Registry: ecrPrivate, ECR: "auto", Username: set("u"), ECRTagMutability: "FIXED", Public: true}
	if found := both.Check(); len(found) != 3 {
		t.Errorf("found %v", found)
	}
}
