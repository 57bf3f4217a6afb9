package auth

import (
	"maps"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/multi-registry-push/multi-registry-push/internal/credentials"
	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
	"github.com/multi-registry-push/multi-registry-push/test/servers"
	"github.com/multi-registry-push/multi-registry-push/test/standins"
)

// account returns a job with AWS, one registry and an item with a key that may do
// these actions.
func account(t *testing.T, may ...string) (*job, *standins.AWS, *standins.ECR, credentials.Item) {
	j := newJob(t)
	a := standins.NewAWS(t, j.net, j.github)
	a.Now = j.clock.Now
	e := a.Registry(ecrHost, ecrAPI, "123456789012", "eu-west-1")
	id, key := a.User(may...)
	return j, a, e, withKey(credentials.Item{Line: 1, Registry: ecrHost, ECR: "auto"}, id, key)
}

// Every form of host leads to the API of its partition and region, with a role as with a key.
func TestECRHosts(t *testing.T) {
	const id = "123456789012"
	tests := []struct{ host, api, sts, region, audience string }{
		{id + ".dkr.ecr.us-east-1.amazonaws.com", "api.ecr.us-east-1.amazonaws.com", "sts.us-east-1.amazonaws.com", "us-east-1", ""},
		{id + ".dkr.ecr-fips.us-east-1.amazonaws.com", "api.ecr-fips.us-east-1.amazonaws.com", "sts-fips.us-east-1.amazonaws.com", "us-east-1", ""},
		{id + ".dkr.ecr.us-gov-west-1.amazonaws.com", "api.ecr.us-gov-west-1.amazonaws.com", "sts.us-gov-west-1.amazonaws.com", "us-gov-west-1", ""},
		{id + ".dkr.ecr.cn-north-1.amazonaws.com.cn", "api.ecr.cn-north-1.amazonaws.com.cn", "sts.cn-north-1.amazonaws.com.cn", "cn-north-1", "sts.amazonaws.com.cn"},
		{id + ".dkr.ecr.eusc-de-east-1.amazonaws.eu", "api.ecr.eusc-de-east-1.amazonaws.eu", "sts.eusc-de-east-1.amazonaws.eu", "eusc-de-east-1", ""},
		{id + ".dkr-ecr.eu-west-1.on.aws", "ecr.eu-west-1.api.aws", "sts.eu-west-1.amazonaws.com", "eu-west-1", ""},
		{id + ".dkr-ecr-fips.us-east-2.on.aws", "ecr-fips.us-east-2.api.aws", "sts-fips.us-east-2.amazonaws.com", "us-east-2", ""},
		{id + ".dkr-ecr.cn-north-1.on.amazonwebservices.com.cn", "ecr.cn-north-1.api.amazonwebservices.com.cn", "sts.cn-north-1.amazonaws.com.cn", "cn-north-1", "sts.amazonaws.com.cn"},
	}
	for _, tt := range tests {
		t.Run(tt.host, func(t *testing.T) {
			j := newJob(t)
			a := standins.NewAWS(t, j.net, j.github)
			if tt.audience == "" {
				tt.audience = "sts.amazonaws.com"
			}
			a.STS(tt.sts, tt.audience)
			a.Registry(tt.host, tt.api, id, tt.region).Add("acme/app", standins.Repository{})
			key, secret := a.User(standins.Everything()...)
			// The region is the host's, whatever the environment says.
			j.set("AWS_REGION=ap-south-1")
			for _, item := range []credentials.Item{
				withKey(credentials.Item{Line: 1, Registry: tt.host, ECR: "auto"}, key, secret),
				{Line: 1, Registry: tt.host, ECR: "auto", AWSRole: value(a.Role)},
			} {
				if err := j.push(j.choose(j.resolver(item), tt.host, "acme/app").Auth, tt.host, "acme/app"); err != nil {
					t.Errorf("%v; asked: %v", err, j.net.Asked())
				}
			}
		})
	}
}

func TestECRPublic(t *testing.T) {
	j := newJob(t)
	a := standins.NewAWS(t, j.net, j.github)
	a.STS("sts.us-east-1.amazonaws.com", "sts.amazonaws.com")
	e := a.PublicRegistry("acme")
	item := credentials.Item{Line: 1, Registry: e.Host, ECR: "auto", AWSRole: value(a.Role)}
	c := j.choose(j.resolver(item), e.Host, "acme/app")
	if !c.NeedsCreate {
		t.Error("ECR Public does not create repositories on push")
	}
	if err := j.push(c.Auth, e.Host, "acme/app"); err == nil {
		t.Error("pushed to a repository that does not exist")
	}
	if created, err := c.CreateRepository(t.Context(), "acme/app", false); err != nil || !created {
		t.Errorf("%v, %v", created, err)
	}
	if err := j.push(c.Auth, e.Host, "acme/app"); err != nil {
		t.Error(err)
	}
	// Somebody else's alias is not ours to create in.
	if _, err := c.CreateRepository(t.Context(), "other/tool", false); !usererror.Is(err, usererror.CannotCreate) || !strings.Contains(err.Error(), "public.ecr.aws/acme/tool") {
		t.Errorf("got %v", err)
	}
	if _, err := c.CreateRepository(t.Context(), "alone", false); !usererror.Is(err, usererror.CannotCreate) {
		t.Errorf("got %v", err)
	}
}

// Several accounts and regions in one run: each is asked once, and gets only its own.
func TestSeveralAccountsAndRegions(t *testing.T) {
	j := newJob(t)
	a := standins.NewAWS(t, j.net, j.github)
	apis := map[string]string{
		"111111111111.dkr.ecr.eu-west-1.amazonaws.com": "api.ecr.eu-west-1.amazonaws.com",
		"222222222222.dkr.ecr.us-east-2.amazonaws.com": "api.ecr.us-east-2.amazonaws.com",
	}
	var items []credentials.Item
	for host, api := range apis {
		e := a.Registry(host, api, host[:12], strings.Split(host, ".")[3])
		for _, path := range []string{"a/one", "a/two", "b/three"} {
			e.Add(path, standins.Repository{})
		}
		id, key := a.User(standins.Everything()...)
		items = append(items, withKey(credentials.Item{Line: len(items) + 1, Registry: host, ECR: "auto"}, id, key))
	}
	r := j.resolver(items...)
	var wg sync.WaitGroup
	for host := range apis {
		for _, path := range []string{"a/one", "a/two", "b/three"} {
			wg.Go(func() {
				if err := j.push(r.For(t.Context(), repository(host, path)).Auth, host, path); err != nil {
					t.Error(err)
				}
			})
		}
	}
	wg.Wait()
	for host, api := range apis {
		if n := a.TokensAsked(api); n != 1 {
			t.Errorf("%s: %d calls of GetAuthorizationToken", host, n)
		}
	}
}

func TestCreateRepository(t *testing.T) {
	j, _, e, item := account(t, standins.Everything()...)
	c := j.choose(j.resolver(item), ecrHost, "acme/app")
	for path, immutable := range map[string]bool{"acme/app": false, "acme/release": true} {
		if err := j.push(c.Auth, ecrHost, path); err == nil {
			t.Errorf("pushed to %s, which does not exist", path)
		}
		if created, err := c.CreateRepository(t.Context(), path, immutable); err != nil || !created {
			t.Errorf("%s: %v, %v", path, created, err)
		}
		if err := j.push(c.Auth, ecrHost, path); err != nil {
			t.Error(err)
		}
	}
	want := map[string]standins.Repository{
		"acme/app": {ScanOnPush: true, Mutability: "MUTABLE"}, "acme/release": {ScanOnPush: true, Immutable: true, Mutability: "IMMUTABLE"},
	}
	if got := e.Repositories(); !maps.Equal(got, want) {
		t.Errorf("there are %+v, want %+v", got, want)
	}
	// push writes another image each time.
	if err := j.push(c.Auth, ecrHost, "acme/app"); err != nil {
		t.Errorf("a mutable tag did not move: %v", err)
	}
	if err := j.push(c.Auth, ecrHost, "acme/release"); err == nil || !strings.Contains(err.Error(), "TAG_INVALID") {
		t.Errorf("an immutable tag moved: %v", err)
	}
	if created, err := c.CreateRepository(t.Context(), "acme/app", true); err != nil || created {
		t.Errorf("one that is there: %v, %v", created, err)
	}
}

func TestCreateRepositoryRaced(t *testing.T) {
	j, _, e, item := account(t, standins.Everything()...)
	c := j.choose(j.resolver(item), ecrHost, "acme/app")
	e.Race("acme/app", func() { e.Add("acme/app", standins.Repository{}) })
	if created, err := c.CreateRepository(t.Context(), "acme/app", false); err != nil || created {
		t.Errorf("another job was first: %v, %v", created, err)
	}
	// Two jobs at the same time: exactly one creates it.
	var wg sync.WaitGroup
	var mu sync.Mutex
	n := 0
	for range 8 {
		wg.Go(func() {
			created, err := c.CreateRepository(t.Context(), "acme/raced", false)
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			if created {
				n++
			}
		})
	}
	wg.Wait()
	if n != 1 {
		t.Errorf("created %d times", n)
	}
	if got := sorted(e.Repositories()); len(got) != 2 {
		t.Errorf("there are %v", got)
	}
}

func TestDeniedActionsAreNamed(t *testing.T) {
	j, _, e, item := account(t, "ecr:GetAuthorizationToken")
	c := j.choose(j.resolver(item), ecrHost, "acme/app")
	_, err := c.CreateRepository(t.Context(), "acme/app", false)
	if !usererror.Is(err, usererror.CannotCreate) || !strings.Contains(usererror.Advice(err), "ecr:CreateRepository") || !strings.Contains(err.Error(), ecrHost+"/acme/app") {
		t.Errorf("%v; advice %q", err, usererror.Advice(err))
	}
	if len(e.Repositories()) > 0 {
		t.Error("created all the same")
	}

	j, _, _, item = account(t)
	_, err = j.choose(j.resolver(item), ecrHost, "acme/app").Auth.Authorization()
	if !usererror.Is(err, usererror.WrongCredentials) || !strings.Contains(usererror.Advice(err), "ecr:GetAuthorizationToken") {
		t.Errorf("%v; advice %q", err, usererror.Advice(err))
	}
}

func TestWrongSecretKeyIsNotShown(t *testing.T) {
	j, _, _, item := account(t, standins.Everything()...)
	item = withKey(item, item.Username.Text, "not-the-right-secret-key")
	_, err := j.choose(j.resolver(item), ecrHost, "acme/app").Auth.Authorization()
	if !usererror.Is(err, usererror.WrongCredentials) || !strings.Contains(err.Error(), "InvalidSignatureException") {
		t.Errorf("got %v", err)
	}
	hides(t, err.Error(), "not-the-right-secret-key")
}

func TestThrottledByAWS(t *testing.T) {
	j, _, e, item := account(t, standins.Everything()...)
	e.Add("acme/app", standins.Repository{})
	body := `{"__type":"ThrottlingException","message":"Rate exceeded"}`
	j.net.Faults.Add(servers.Fault{Match: standins.At(ecrAPI), Count: 2, Status: 400, Body: body})
	if err := j.push(j.choose(j.resolver(item), ecrHost, "acme/app").Auth, ecrHost, "acme/app"); err != nil {
		t.Error(err)
	}
}

// A role's keys that have run out are got again for the next call.
func TestRoleIsAssumedAgain(t *testing.T) {
	j := newJob(t)
	a := standins.NewAWS(t, j.net, j.github)
	a.Now, a.SessionLife = j.clock.Now, -time.Second
	a.STS(stsHost, "sts.amazonaws.com")
	a.Registry(ecrHost, ecrAPI, "123456789012", "eu-west-1")
	c := j.choose(j.resolver(credentials.Item{Line: 1, Registry: ecrHost, ECR: "auto", AWSRole: value(a.Role)}), ecrHost, "acme/app")
	if _, err := c.CreateRepository(t.Context(), "acme/app", false); err == nil {
		t.Error("AWS takes keys that have run out")
	}
	a.SessionLife = time.Hour
	if created, err := c.CreateRepository(t.Context(), "acme/app", false); err != nil || !created {
		t.Errorf("%v, %v", created, err)
	}
	if err := j.push(c.Auth, ecrHost, "acme/app"); err != nil {
		t.Error(err)
	}
	if n := a.Assumed(); n != 2 {
		t.Errorf("assumed %d times", n)
	}
}

// The SDK's official variables lead to stand-ins at addresses of their own.
func TestEndpointVariables(t *testing.T) {
	j := newJob(t)
	a := standins.NewAWS(t, j.net, j.github)
	e := a.Registry(ecrHost, "", "123456789012", "eu-west-1")
	e.Add("acme/app", standins.Repository{})
	api, sts := httptest.NewServer(e.API()), httptest.NewServer(a.STSHandler("sts.amazonaws.com"))
	t.Cleanup(api.Close)
	t.Cleanup(sts.Close)
	j.set("AWS_ENDPOINT_URL_ECR="+api.URL, "AWS_ENDPOINT_URL_STS="+sts.URL)
	item := credentials.Item{Line: 1, Registry: ecrHost, ECR: "auto", AWSRole: value(a.Role)}
	if err := j.push(j.choose(j.resolver(item), ecrHost, "acme/app").Auth, ecrHost, "acme/app"); err != nil {
		t.Error(err)
	}
	// A key is sent nowhere in the clear, except to the machine itself.
	j.set("AWS_ENDPOINT_URL_ECR=http://ecr.example.com")
	_, err := j.choose(j.resolver(item), ecrHost, "acme/app").Auth.Authorization()
	if err == nil || !strings.Contains(err.Error(), "not an HTTPS address") {
		t.Errorf("got %v", err)
	}
}

// The default chain reads the process's environment.
func TestDefaultChain(t *testing.T) {
	set := func(t *testing.T, j *job, pairs ...string) {
		for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE"} {
			t.Setenv(name, "")
		}
		home := t.TempDir()
		t.Setenv("HOME", home)
		t.Setenv("AWS_SHARED_CREDENTIALS_FILE", home+"/credentials")
		t.Setenv("AWS_CONFIG_FILE", home+"/config")
		for i := 0; i < len(pairs); i += 2 {
			t.Setenv(pairs[i], pairs[i+1])
			j.set(pairs[i] + "=" + pairs[i+1])
		}
	}
	t.Run("access key", func(t *testing.T) {
		j, a, e, _ := account(t)
		e.Add("acme/app", standins.Repository{})
		id, key := a.User(standins.Everything()...)
		set(t, j, "AWS_ACCESS_KEY_ID", id, "AWS_SECRET_ACCESS_KEY", key)
		c := j.choose(j.resolver(), ecrHost, "acme/app")
		if err := j.push(c.Auth, ecrHost, "acme/app"); err != nil {
			t.Error(err)
		}
		if created, err := c.CreateRepository(t.Context(), "acme/new", false); err != nil || !created {
			t.Errorf("%v, %v", created, err)
		}
		if c.Origin != "AWS default chain" {
			t.Error(c.Origin)
		}
	})
	t.Run("web identity", func(t *testing.T) {
		j, a, e, _ := account(t)
		e.Add("acme/app", standins.Repository{})
		a.STS(stsHost, "sts.amazonaws.com")
		set(t, j, "AWS_ROLE_ARN", a.Role, "AWS_ROLE_SESSION_NAME", "test", "AWS_WEB_IDENTITY_TOKEN_FILE", tokenFile(t, j, "sts.amazonaws.com"))
		if err := j.push(j.choose(j.resolver(), ecrHost, "acme/app").Auth, ecrHost, "acme/app"); err != nil {
			t.Error(err)
		}
	})
	t.Run("web identity refused", func(t *testing.T) {
		j, a, _, _ := account(t)
		a.STS(stsHost, "sts.amazonaws.com")
		a.Subject = "repo:other/app"
		set(t, j, "AWS_ROLE_ARN", a.Role, "AWS_ROLE_SESSION_NAME", "test", "AWS_WEB_IDENTITY_TOKEN_FILE", tokenFile(t, j, "sts.amazonaws.com"))
		_, err := j.choose(j.resolver(), ecrHost, "acme/app").Auth.Authorization()
		if !usererror.Is(err, usererror.WrongCredentials) || !strings.Contains(err.Error(), "AccessDenied") {
			t.Errorf("got %v", err)
		}
		hides(t, err.Error(), j.github.Issued()...)
	})
	t.Run("profile that is not there", func(t *testing.T) {
		j, _, _, _ := account(t)
		set(t, j, "AWS_PROFILE", "gone")
		_, err := j.choose(j.resolver(), ecrHost, "acme/app").Auth.Authorization()
		if !usererror.Is(err, usererror.MissingCredentials) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("web identity that cannot be had", func(t *testing.T) {
		j, a, _, _ := account(t)
		set(t, j, "AWS_ROLE_ARN", a.Role, "AWS_WEB_IDENTITY_TOKEN_FILE", t.TempDir()+"/gone")
		_, err := j.choose(j.resolver(), ecrHost, "acme/app").Auth.Authorization()
		if !usererror.Is(err, usererror.WrongCredentials) || !strings.Contains(err.Error(), "/gone") {
			t.Errorf("without its file: %v", err)
		}
		set(t, j, "AWS_ROLE_ARN", a.Role, "AWS_WEB_IDENTITY_TOKEN_FILE", tokenFile(t, j, "sts.amazonaws.com"), "AWS_MAX_ATTEMPTS", "1")
		a.STS(stsHost, "sts.amazonaws.com")
		j.net.Unplug(stsHost)
		_, err = j.choose(j.resolver(), ecrHost, "acme/app").Auth.Authorization()
		if !usererror.Is(err, usererror.Unreachable) {
			t.Errorf("without STS: %v", err)
		}
	})
	t.Run("wrong key", func(t *testing.T) {
		j, _, _, _ := account(t)
		set(t, j, "AWS_ACCESS_KEY_ID", "AKIAWRONG", "AWS_SECRET_ACCESS_KEY", "wrong-secret-key")
		_, err := j.choose(j.resolver(), ecrHost, "acme/app").Auth.Authorization()
		if !usererror.Is(err, usererror.WrongCredentials) {
			t.Errorf("got %v", err)
		}
		hides(t, err.Error(), "wrong-secret-key")
	})
}

// The instance's metadata service is asked with ecr: true only.
func TestInstanceMetadata(t *testing.T) {
	j, a, e, _ := account(t)
	e.Add("acme/app", standins.Repository{})
	metadata := httptest.NewServer(a.Instance())
	t.Cleanup(metadata.Close)
	t.Setenv("HOME", t.TempDir())
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_EC2_METADATA_DISABLED"} {
		t.Setenv(name, "")
	}
	t.Setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata.URL)
	if c := j.resolver().For(t.Context(), repository(ecrHost, "acme/app")); c.Skip != "AWS credentials are unset" {
		t.Errorf("without ecr: true: %q, %q", c.Skip, c.Origin)
	}
	// Nor when files of the SDK hold keys, but none for the profile that applies.
	home := t.TempDir()
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", home+"/credentials")
	if err := os.WriteFile(home+"/credentials", []byte("[other]\naws_access_key_id = a\naws_secret_access_key = b\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	j.set("AWS_SHARED_CREDENTIALS_FILE=" + home + "/credentials")
	if _, err := j.choose(j.resolver(), ecrHost, "acme/app").Auth.Authorization(); !usererror.Is(err, usererror.MissingCredentials) {
		t.Errorf("without ecr: true: %v", err)
	}
	item := credentials.Item{Line: 1, Registry: ecrHost, ECR: "true"}
	if err := j.push(j.choose(j.resolver(item), ecrHost, "acme/app").Auth, ecrHost, "acme/app"); err != nil {
		t.Error(err)
	}
	// A machine of another cloud answers there, too, but has no AWS credentials.
	metadata.Config.Handler = notFound{}
	_, err := j.choose(j.resolver(item), ecrHost, "acme/app").Auth.Authorization()
	if !usererror.Is(err, usererror.MissingCredentials) {
		t.Errorf("got %v", err)
	}
}

// A registry that is ECR behind a name of one's own.
func TestECRUnderAnotherName(t *testing.T) {
	const host = "images.acme.example"
	j := newJob(t)
	a := standins.NewAWS(t, j.net, j.github)
	a.STS(stsHost, "sts.amazonaws.com")
	a.Registry(host, ecrAPI, "123456789012", "eu-west-1").Add("acme/app", standins.Repository{})
	item := credentials.Item{Line: 1, Registry: host, ECR: "true", AWSRole: value(a.Role)}
	_, err := j.choose(j.resolver(item), host, "acme/app").Auth.Authorization()
	if !usererror.Is(err, usererror.InvalidAuth) || !strings.Contains(usererror.Advice(err), "AWS_REGION") {
		t.Errorf("without a region: %v", err)
	}
	j.set("AWS_REGION=eu-west-1")
	if err := j.push(j.choose(j.resolver(item), host, "acme/app").Auth, host, "acme/app"); err != nil {
		t.Error(err)
	}
	if err := j.push(authn.Anonymous, host, "acme/app"); err == nil {
		t.Error("the registry takes images from anybody")
	}
}

// What an item says of the tags of new repositories goes to ECR; one that is there is left as it is.
func TestCreateRepositoryWithExclusions(t *testing.T) {
	j, _, e, item := account(t, standins.Everything()...)
	item.ECRTagMutability, item.ECRTagExclusions = "IMMUTABLE_WITH_EXCLUSION", []string{"latest", "dev-*"}
	plain := item
	plain.Path, plain.Line = "acme/plain", 2
	plain.ECRTagMutability, plain.ECRTagExclusions = "MUTABLE", nil
	e.Add("acme/there", standins.Repository{})
	r := j.resolver(item, plain)
	for path, created := range map[string]bool{"acme/app": true, "acme/plain": true, "acme/there": false} {
		c := j.choose(r, ecrHost, path)
		if got, err := c.CreateRepository(t.Context(), path, true); err != nil || got != created {
			t.Errorf("%s: %v, %v", path, got, err)
		}
	}
	want := map[string]standins.Repository{
		"acme/there": {}, "acme/plain": {ScanOnPush: true, Mutability: "MUTABLE"},
		"acme/app": {ScanOnPush: true, Mutability: "IMMUTABLE_WITH_EXCLUSION", Exclusions: "latest,dev-*"},
	}
	if got := e.Repositories(); !maps.Equal(got, want) {
		t.Errorf("there are %+v, want %+v", got, want)
	}
}

func TestSessionNames(t *testing.T) {
	for _, tt := range []struct{ repository, run, session, want string }{
		{"acme/app", "4711", "", "acme-app-4711"},
		{"acme/app", "4711", "release@acme", "release@acme"},
		{"acme/app", "", "", "acme-app"},
		{"", "", "", "multi-registry-push"},
		{"acme/" + strings.Repeat("x", 80), "12345678901", "", "acme-" + strings.Repeat("x", 47) + "-12345678901"},
		{"ac me/äpp", "47 11", "", "ac-me--pp"},
	} {
		j := newJob(t)
		j.set("GITHUB_REPOSITORY="+tt.repository, "GITHUB_RUN_ID="+tt.run)
		a := standins.NewAWS(t, j.net, j.github)
		a.STS(stsHost, "sts.amazonaws.com")
		a.Registry(ecrHost, ecrAPI, "123456789012", "eu-west-1").Add("acme/app", standins.Repository{})
		item := credentials.Item{Line: 1, Registry: ecrHost, ECR: "auto", AWSRole: value(a.Role), AWSSession: value(tt.session)}
		if _, err := j.choose(j.resolver(item), ecrHost, "acme/app").Auth.Authorization(); err != nil {
			t.Fatal(err)
		}
		if got := a.Sessions(); len(got) != 1 || got[0] != tt.want {
			t.Errorf("the session of %q, %q is %q, want %q", tt.repository, tt.run, got, tt.want)
		}
	}
}
