package leak

import (
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/multi-registry-push/multi-registry-push/test/standins"
)

const (
	host  = "registry.example"
	other = "elsewhere.example"
)

// path is one way to fail.
type path struct {
	environ []string
	args    []string
	hosts   map[string]http.Handler
	sees    map[string][]canary // host: the secrets it is meant to be sent
	says    string              // in the log: proof that the path was taken
	status  int
	written []canary                                // into a reference by the workflow itself, which makes them public
	skips   bool                                    // nothing is published: status 1 on a command line
	setup   func(t *testing.T, dir string) []string // more environment
}

var secrets = []canary{password, keyFile, jobToken, bearer, renewal, opaque, oidc, request, awsKey, proxyKey}

func publish(tags, auth string, more ...string) []string {
	return append([]string{"INPUT_SOURCE=docker://source.example/me/app:1", "INPUT_TAGS=" + tags, "INPUT_REGISTRY-AUTH=" + auth}, more...)
}

func paths() map[string]path {
	mine := map[string][]canary{host: {password}}
	one := publish(host+"/me/app:1", item(host, password))
	withToken := map[string][]canary{host: {password, bearer}, "auth.example": {password}}
	keyless := []string{"ACTIONS_ID_TOKEN_REQUEST_URL=https://oidc.example/token?v=1", "ACTIONS_ID_TOKEN_REQUEST_TOKEN=" + request.value}
	issuer := answer(200, `{"value":"`+oidc.value+`"}`)
	return map[string]path{
		"wrong password": {environ: one, hosts: map[string]http.Handler{host: locked(canary{"", "acme", "another"}, nil)}, sees: mine, says: "wrong-credentials", status: 1},
		"forbidden":      {environ: one, hosts: map[string]http.Handler{host: locked(password, on("POST", "/blobs/uploads/", echoing(403), plainRegistry()))}, sees: mine, says: "no-push-permission", status: 1},
		"no such repository": {environ: one, hosts: map[string]http.Handler{host: locked(password, on("POST", "/blobs/uploads/",
			answer(404, `{"errors":[{"code":"NAME_UNKNOWN","message":"c4n4ry"}]}`), plainRegistry()))}, sees: mine, says: "repository-missing", status: 1},
		"server errors":      {environ: one, hosts: map[string]http.Handler{host: locked(password, on("POST", "/blobs/uploads/", echoing(502), plainRegistry()))}, sees: mine, says: "registry-gave-up", status: 1},
		"limited":            {environ: one, hosts: map[string]http.Handler{host: locked(password, on("POST", "/blobs/uploads/", echoing(429), plainRegistry()))}, sees: mine, says: host, status: 1},
		"teapot":             {environ: one, hosts: map[string]http.Handler{host: echoing(418)}, sees: mine, says: host, status: 1},
		"no such host":       {environ: one, says: host, status: 1},
		"several lines":      {environ: publish(host+"/me/app:1", item(host, keyFile)), hosts: map[string]http.Handler{host: locked(password, nil)}, sees: map[string][]canary{host: {keyFile}}, says: "wrong-credentials", status: 1},
		"github-token":       {environ: publish("ghcr.io/me/app:1", "", "INPUT_GITHUB-TOKEN="+jobToken.value), hosts: map[string]http.Handler{"ghcr.io": locked(password, nil)}, sees: map[string][]canary{"ghcr.io": {jobToken}}, says: "wrong-credentials", status: 1},
		"realm in clear":     {environ: one, hosts: map[string]http.Handler{host: tokenAuth("http://auth.example/token", bearer, nil), "auth.example": echoing(200)}, sees: map[string][]canary{}, says: host, status: 1},
		"own realm in clear": {environ: one, hosts: map[string]http.Handler{host: tokenAuth("http://"+host+"/token", bearer, nil)}, sees: mine, says: host, status: 1},
		"realm is nonsense":  {environ: one, hosts: map[string]http.Handler{host: tokenAuth("::\x01%zz", bearer, nil)}, sees: map[string][]canary{}, says: host, status: 1},
		"token refused":      {environ: one, hosts: map[string]http.Handler{host: tokenAuth("https://auth.example/token", bearer, nil), "auth.example": echoing(401)}, sees: withToken, says: "wrong-credentials", status: 1},
		"token server down":  {environ: one, hosts: map[string]http.Handler{host: tokenAuth("https://auth.example/token", bearer, nil), "auth.example": echoing(503)}, sees: withToken, says: host, status: 1},
		"no token in the answer": {environ: one, hosts: map[string]http.Handler{host: tokenAuth("https://auth.example/token", bearer, nil),
			"auth.example": answer(200, `{"tokn":"`+bearer.value+`","refresh_token":"`+renewal.value+`"`)}, sees: withToken, says: host, status: 1},
		"token is of no use": {environ: one, hosts: map[string]http.Handler{host: tokenAuth("https://auth.example/token", canary{"", "", "another"}, nil),
			"auth.example": answer(200, `{"token":"`+bearer.value+`"}`)}, sees: withToken, says: host, status: 1},
		"token may not push": {environ: one, hosts: map[string]http.Handler{host: tokenAuth("https://auth.example/token", bearer, on("POST", "/blobs/uploads/", echoing(403), plainRegistry())),
			"auth.example": answer(200, `{"access_token":"`+bearer.value+`","refresh_token":"`+renewal.value+`"}`)}, sees: withToken, says: "no-push-permission", status: 1},
		"source refuses": {environ: publish(host+"/me/app:1", item(host, password)+item("source.example", keyFile)),
			hosts: map[string]http.Handler{host: locked(password, plainRegistry()), "source.example": locked(password, nil)},
			sees:  map[string][]canary{host: {password}, "source.example": {keyFile}}, says: "source.example", status: 1},
		"upload sent elsewhere": {environ: one, hosts: map[string]http.Handler{host: locked(password, on("POST", "/blobs/uploads/", answer(202, "", "Location", "https://"+other+"/upload?x=1"), plainRegistry())),
			other: echoing(500)}, sees: mine, says: host, status: 1},
		"API redirected": {environ: one, hosts: map[string]http.Handler{host: answer(307, "", "Location", "https://"+other+"/v2/"), other: locked(password, nil)}, sees: map[string][]canary{}, says: host, status: 1},
		"YAML cut short": {environ: publish(host+"/me/app:1", "- registry: "+host+"\n  username: acme\n  password: \""+keyFile.value), says: "invalid-registry-auth", status: 1},
		"comment":        {environ: publish(host+"/me/app:1", "- registry: "+host+"\n  username: acme\n  password: "+jobToken.value+" #"+bearer.value), says: "comment", status: 1},
		"spilled key":    {environ: publish(host+"/me/app:1", "- registry: "+host+"\n  username: acme\n  password: "+bearer.value+"\n  "+jobToken.value+": x\n"), says: "no such key", status: 1},
		"list for text":  {environ: publish(host+"/me/app:1", "- registry: "+host+"\n  username: acme\n  password: ["+jobToken.value+"]\n"), says: "not text", status: 1},
		"secret as flag": {args: []string{"--github-token", jobToken.value, "--registry-auth=" + bearer.value, "--pasword", renewal.value, oidc.value}, says: "@FILE", status: 1},
		"Docker's configuration": {environ: publish(host+"/me/app:1", "", `DOCKER_AUTH_CONFIG={"auths":{"`+host+`":{"username":"acme","password":`+quoted(password.value)+`}}}`),
			hosts: map[string]http.Handler{host: locked(canary{"", "acme", "another"}, nil)}, sees: mine, says: "wrong-credentials", status: 1},
		"Docker's configuration, broken": {environ: publish(host+"/me/app:1", "", `DOCKER_AUTH_CONFIG={"auths":{"`+host+`":{"username":"acme","password":`+quoted(jobToken.value)),
			says: "DOCKER_AUTH_CONFIG", skips: true},
		"identity token": {environ: publish(host+"/me/app:1", "", `DOCKER_AUTH_CONFIG={"auths":{"`+host+`":{"identitytoken":"`+renewal.value+`"}}}`),
			hosts: map[string]http.Handler{host: tokenAuth("https://auth.example/token", bearer, nil), "auth.example": echoing(401)},
			sees:  map[string][]canary{"auth.example": {renewal}}, says: host, status: 1},
		"engine's address": {environ: publish(host+"/me/app:1", item(host, password), "INPUT_SOURCE=docker-daemon:app:1", "DOCKER_HOST=ssh://me:"+renewal.value+"@engine.example"),
			hosts: map[string]http.Handler{host: locked(password, plainRegistry())}, sees: mine, says: "DOCKER_HOST", status: 1},
		"pasted references": {environ: publish("https://me:"+renewal.value+"@"+host+"/me/app:1\n"+jobToken.value+"@"+host+"/app", "- registry: https://acme:"+oidc.value+"@"+host+"\n",
			"INPUT_SOURCE=docker://"+request.value+"@"+host+"/me/app:1@"), says: "credentials stand in front of the host", status: 1},
		// A subdomain: net/http itself lets Authorization follow there, and a body anywhere.
		"token server redirects": {environ: one, hosts: map[string]http.Handler{host: tokenAuth("https://auth.example/token", bearer, nil),
			"auth.example": answer(307, "", "Location", "https://next.auth.example/token"), "next.auth.example": echoing(401)}, sees: withToken, says: "unsafe-redirect", status: 1},
		"token server redirects a refresh token": {environ: publish(host+"/me/app:1", "", `DOCKER_AUTH_CONFIG={"auths":{"`+host+`":{"identitytoken":"`+renewal.value+`"}}}`),
			hosts: map[string]http.Handler{host: tokenAuth("https://auth.example/token", bearer, nil), "auth.example": answer(307, "", "Location", "https://"+other+"/token"), other: echoing(401)},
			sees:  map[string][]canary{"auth.example": {renewal}}, says: "unsafe-redirect", status: 1},
		"secret in a tag": {environ: publish(host+"/me/app:"+request.value, item(host, password), "INPUT_GITHUB-TOKEN="+request.value),
			hosts: map[string]http.Handler{host: locked(password, plainRegistry())}, sees: mine, says: "source.example", status: 1, written: []canary{request}},
		"credential helper": {environ: publish(host+"/me/app:1", ""), setup: func(t *testing.T, dir string) []string {
			writeFile(t, filepath.Join(dir, "config.json"), `{"credHelpers":{"`+host+`":"c4n4ry-missing"},"auths":{"`+host+`":{"auth":"!`+bearer.value+`"}}}`)
			return []string{"DOCKER_CONFIG=" + dir}
		}, says: "could not be started", skips: true},
		"Docker Hub's exchange": {environ: publish("acme/app:1", "- username: acme\n  dockerhub-connection: 6a2f3a5e-0000-0000-0000-000000000000\n", keyless...),
			hosts: map[string]http.Handler{"oidc.example": issuer, "identity.docker.com": echoing(400), "index.docker.io": locked(password, nil)},
			sees:  map[string][]canary{"oidc.example": {request}, "identity.docker.com": {oidc}}, says: "oidc-refused", status: 1},
		"Google's exchange": {environ: publish("europe-docker.pkg.dev/p/r/app:1", "- registry: europe-docker.pkg.dev\n  gcp-provider: projects/1/locations/global/workloadIdentityPools/p/providers/q\n  gcp-service-account: p@acme.iam.gserviceaccount.com\n", keyless...),
			hosts: map[string]http.Handler{"oidc.example": issuer, "sts.googleapis.com": echoing(403), "europe-docker.pkg.dev": locked(password, nil)},
			sees:  map[string][]canary{"oidc.example": {request}, "sts.googleapis.com": {oidc}}, says: "oidc-refused", status: 1},
		"Microsoft's exchange": {environ: publish("acme.azurecr.io/app:1", "- registry: acme.azurecr.io\n  azure-client: c\n  azure-tenant: t\n", keyless...),
			hosts: map[string]http.Handler{"oidc.example": issuer, "login.microsoftonline.com": echoing(401), "acme.azurecr.io": locked(password, nil)},
			sees:  map[string][]canary{"oidc.example": {request}, "login.microsoftonline.com": {oidc}}, says: "oidc-refused", status: 1},
		"Azure's own exchange": {environ: publish("acme.azurecr.io/app:1", "- registry: acme.azurecr.io\n  azure-client: c\n  azure-tenant: t\n", keyless...),
			hosts: map[string]http.Handler{"oidc.example": issuer, "login.microsoftonline.com": answer(200, `{"access_token":"`+bearer.value+`"}`), "acme.azurecr.io": echoing(403)},
			sees:  map[string][]canary{"oidc.example": {request}, "login.microsoftonline.com": {oidc}, "acme.azurecr.io": {bearer}}, says: "acme.azurecr.io", status: 1},
		"Quay's exchange": {environ: publish("quay.example/me/app:1", "- registry: quay.example\n  quay-robot: me+publisher\n  quay-audience: acme\n", keyless...),
			hosts: map[string]http.Handler{"oidc.example": issuer, "quay.example": on("", "/oauth2/", echoing(401), locked(password, nil))},
			sees:  map[string][]canary{"oidc.example": {request}, "quay.example": {oidc}}, says: "oidc-refused", status: 1},
		"Quay's password is of no use": {environ: publish("quay.example/me/app:1", "- registry: quay.example\n  quay-robot: me+publisher\n", keyless...),
			hosts: map[string]http.Handler{"oidc.example": issuer, "quay.example": on("", "/oauth2/", answer(200, `{"token":"`+opaque.value+`"}`), locked(password, nil))},
			sees:  map[string][]canary{"oidc.example": {request}, "quay.example": {oidc, opaque}}, says: "wrong-credentials", status: 1},
		"JFrog's exchange": {environ: publish("docker.acme.example/me/app:1", "- registry: docker.acme.example\n  jfrog-provider: github\n  jfrog-audience: acme\n  jfrog-url: https://acme.jfrog.io\n", keyless...),
			hosts: map[string]http.Handler{"oidc.example": issuer, "acme.jfrog.io": echoing(400), "docker.acme.example": locked(password, nil)},
			sees:  map[string][]canary{"oidc.example": {request}, "acme.jfrog.io": {oidc}}, says: "oidc-refused", status: 1},
		"JFrog's token names nobody": {environ: publish("acme.jfrog.io/me/app:1", "- registry: acme.jfrog.io\n  jfrog-provider: github\n", keyless...),
			hosts: map[string]http.Handler{"oidc.example": issuer, "acme.jfrog.io": on("", "/access/", answer(200, `{"access_token":"`+opaque.value+`"}`), locked(password, nil))},
			sees:  map[string][]canary{"oidc.example": {request}, "acme.jfrog.io": {oidc}}, says: "neither the answer nor its token names a user", status: 1},
		"issuer refuses": {environ: publish("acme/app:1", "- username: acme\n  dockerhub-connection: 6a2f3a5e-0000-0000-0000-000000000000\n", keyless...),
			hosts: map[string]http.Handler{"oidc.example": echoing(403), "index.docker.io": locked(password, nil)},
			sees:  map[string][]canary{"oidc.example": {request}}, says: "oidc", status: 1},
		"AWS refuses": {environ: publish("123456789012.dkr.ecr.eu-west-1.amazonaws.com/app:1", "- registry: 123456789012.dkr.ecr.eu-west-1.amazonaws.com\n  username: "+awsKey.user+"\n  password: "+quoted(awsKey.value)+"\n"),
			hosts: map[string]http.Handler{"api.ecr.eu-west-1.amazonaws.com": answer(400, `{"__type":"UnrecognizedClientException","message":"the key `+awsKey.value+` is not known"}`, "Content-Type", "application/x-amz-json-1.1"),
				"123456789012.dkr.ecr.eu-west-1.amazonaws.com": locked(password, nil)},
			sees: map[string][]canary{}, says: "amazonaws.com", status: 1},
		"AWS role": {environ: publish("123456789012.dkr.ecr.eu-west-1.amazonaws.com/app:1", "- registry: 123456789012.dkr.ecr.eu-west-1.amazonaws.com\n  aws-role: arn:aws:iam::123456789012:role/x\n  aws-session: release\n", keyless...),
			hosts: map[string]http.Handler{"oidc.example": issuer, "sts.eu-west-1.amazonaws.com": echoing(403), "123456789012.dkr.ecr.eu-west-1.amazonaws.com": locked(password, nil)},
			sees:  map[string][]canary{"oidc.example": {request}, "sts.eu-west-1.amazonaws.com": {oidc}}, says: "amazonaws.com", status: 1},
	}
}

// Every failing path, in a workflow and on a command line, with debug output: no secret
// is written, each is masked before the first request, and none goes to a host that it is
// not for.
func TestNoPathLeaks(t *testing.T) {
	all := ""
	for name, p := range paths() {
		all += strings.Join(p.environ, "\n")
		for _, workflow := range []bool{true, false} {
			t.Run(name+map[bool]string{true: " (workflow)", false: " (command line)"}[workflow], func(t *testing.T) {
				environ := p.environ
				if p.setup != nil {
					environ = append(environ[:len(environ):len(environ)], p.setup(t, t.TempDir())...)
				}
				environ = append(environ[:len(environ):len(environ)], "HTTPS_PROXY=http://"+proxyKey.user+":"+proxyKey.value+"@proxy.example:3128")
				n := &network{hosts: p.hosts, sees: p.sees}
				o := run(t, n, workflow, environ, p.args...)
				want := p.status
				if !workflow && p.skips {
					want = 1
				}
				if o.status != want || !strings.Contains(o.everything(), p.says) {
					t.Errorf("exit status %d; want %d and %q said in\n%s", o.status, want, p.says, o.stdout+o.stderr)
				}
				hidden := slices.DeleteFunc(slices.Clone(secrets), func(c canary) bool { return slices.Contains(p.written, c) })
				for _, l := range leaks(o.everything(), hidden) {
					t.Error("leaked: " + l)
				}
				for _, l := range n.misdirected(hidden) {
					t.Error("misdirected: " + l)
				}
				if !workflow && len(o.masks) > 0 {
					t.Error("masks are written where no runner reads along")
				}
				if workflow && o.firstMasks == 0 && strings.Contains(strings.Join(environ, ""), "c4n4ry") {
					t.Error("the first request was sent before anything was masked")
				}
				for _, m := range o.masks {
					for _, never := range []string{"acme", "octocat", "_json_key", awsKey.user, host, "ghcr.io", "123456789012"} {
						if m == never {
							t.Errorf("%q is masked: the runner would drop outputs that hold it", m)
						}
					}
				}
			})
		}
	}
	for _, key := range standins.KeylessKeys() {
		if !strings.Contains(all, " "+key+": ") {
			t.Errorf("no path has an item with %s", key)
		}
	}
}
