package light_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"testing"
	"testing/synctest"

	"github.com/multi-registry-push/multi-registry-push/test/images"
	"github.com/multi-registry-push/multi-registry-push/test/light"
)

// Stand-ins for what a login without a stored secret asks: GitHub's OIDC provider, AWS STS and
// ECR's API. They answer anybody; test/auth checks what they are asked.

const idTokens = "oidc.test"

// issueIDToken answers as the runner's ACTIONS_ID_TOKEN_REQUEST_URL does.
func issueIDToken(w http.ResponseWriter, _ *http.Request) {
	fmt.Fprintf(w, `{"value":"%s.%s.c2lnbmF0dXJl"}`, base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"RS256"}`)),
		base64.RawURLEncoding.EncodeToString([]byte(`{"sub":"repo:me/app:ref:refs/heads/main"}`)))
}

// assumeRole answers as AWS STS does to AssumeRoleWithWebIdentity.
func assumeRole(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/xml")
	fmt.Fprint(w, `<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">`+
		`<AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>ASIAKEY</AccessKeyId>`+
		`<SecretAccessKey>the-secret-key</SecretAccessKey><SessionToken>the-session-token</SessionToken>`+
		`<Expiration>2100-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleWithWebIdentityResult>`+
		`</AssumeRoleWithWebIdentityResponse>`)
}

// authorizeECR answers as ECR's GetAuthorizationToken does.
func authorizeECR(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	fmt.Fprintf(w, `{"authorizationData":[{"authorizationToken":%q,"expiresAt":4102444800}]}`,
		base64.StdEncoding.EncodeToString([]byte("AWS:the-ecr-password")))
}

// basic wants the password that authorizeECR gives.
func basic(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, password, ok := r.BasicAuth(); !ok || password != "the-ecr-password" {
			w.Header().Set("WWW-Authenticate", `Basic realm="ecr"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// Keyless logins go on beside each other and beside the registries' first answers: one more
// account, or one more region, takes no longer.
func TestRoundTripsOfKeylessLogins(t *testing.T) {
	definition, err := os.ReadFile("../../action.yml")
	if err != nil {
		t.Fatal(err)
	}
	archive := images.Build(images.Options{Layers: 12, Shared: -1, LayerBytes: 20 << 10, NoAttestations: true}).Archive(t)
	for _, regions := range [][]string{{"eu-west-1"}, {"eu-west-1", "us-east-1", "ap-south-1"}} {
		t.Run(fmt.Sprint(len(regions)), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFar(t, true, false)
				f.hosts[idTokens] = http.HandlerFunc(issueIDToken)
				f.role = "arn:aws:iam::123456789012:role/push"
				for _, region := range regions {
					f.hosts["sts."+region+".amazonaws.com"] = http.HandlerFunc(assumeRole)
					f.hosts["api.ecr."+region+".amazonaws.com"] = http.HandlerFunc(authorizeECR)
					f.hosts["123456789012.dkr.ecr."+region+".amazonaws.com"] = basic(light.New())
				}
				// With a token service 13, of which 6 are until there is a token. OIDC, STS and ECR's API take
				// 9, the first three beside /v2/, and the login one more.
				if n := f.publish(t, definition, archive); n != 17 {
					t.Errorf("%v round trips, want 17", n)
				}
			})
		})
	}
}
