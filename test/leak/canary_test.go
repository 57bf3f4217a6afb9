// Package leak runs the program into every wall there is, with secrets that are easy to
// recognise, and looks for them in whatever it wrote and wherever it sent requests.
package leak

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// canary is a secret that occurs nowhere else.
type canary struct {
	name  string
	user  string // sent with it, may be empty
	value string
}

// forms are the spellings in which the canary must not be seen. They are made here anew,
// not taken from the program: what that forgets must be found.
func (c canary) forms() []string {
	var out []string
	add := func(s string) {
		if len(s) >= 6 && !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	spelled := func(s string) {
		add(s)
		add(url.QueryEscape(s))
		add(url.PathEscape(s))
		add(url.UserPassword("", s).String()[1:])
		quoted, _ := json.Marshal(s)
		add(string(quoted[1 : len(quoted)-1]))
		add(strings.ReplaceAll(string(quoted[1:len(quoted)-1]), "/", `\/`))
		add(strings.Trim(fmt.Sprintf("%q", s), `"`))
		add(strings.Trim(fmt.Sprintf("%+q", s), `"`))
		add(html.EscapeString(s))
		add(hex.EncodeToString([]byte(s)))
		add(fmt.Sprintf("%X", s))
		b := []byte(s)
		slices.Reverse(b)
		add(string(b))
	}
	encoded := func(s string) {
		for _, e := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding} {
			spelled(e.EncodeToString([]byte(s)))
		}
	}
	spelled(c.value)
	encoded(c.value)
	for line := range strings.Lines(c.value) {
		if line = strings.TrimSpace(line); len(line) >= 8 {
			spelled(line)
		}
	}
	if c.user != "" {
		encoded(c.user + ":" + c.value)
	}
	// Halves: a message that is cut must not leave one of them.
	if n := len(c.value); n >= 24 && !strings.Contains(c.value, "\n") {
		add(c.value[:n/2])
		add(c.value[n/2:])
	}
	return out
}

// leaks says which canaries text holds, and how.
func leaks(text string, canaries []canary) []string {
	var found []string
	for _, c := range canaries {
		for _, form := range c.forms() {
			if i := strings.Index(text, form); i >= 0 {
				found = append(found, fmt.Sprintf("%s, spelled %q, in …%s…", c.name, form, text[max(0, i-80):min(len(text), i+len(form)+40)]))
			}
		}
	}
	return found
}

// The search itself is tested: a leak that is planted, in each form, is found.
func TestPlantedLeaksAreFound(t *testing.T) {
	for _, c := range []canary{password, keyFile, jobToken} {
		for _, form := range c.forms() {
			if len(leaks("log line with "+form+" in it", []canary{c})) == 0 {
				t.Errorf("%s: %q is not found", c.name, form)
			}
		}
		for name, text := range map[string]string{
			"header":        "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(c.user+":"+c.value)),
			"JSON in a log": fmt.Sprintf(`{"error":%q}`, c.value),
			"userinfo":      (&url.URL{Scheme: "https", User: url.UserPassword("u", c.value), Host: "x"}).String(),
		} {
			if len(leaks(text, []canary{c})) == 0 {
				t.Errorf("%s: %s is not found", c.name, name)
			}
		}
	}
	if found := leaks("a clean log", []canary{password, keyFile, jobToken}); len(found) > 0 {
		t.Errorf("found in nothing: %q", found)
	}
}

// gitHubToken is a job's token in the shape that GitHub's have: ghs_ and a JWT, some 520
// characters together.
func gitHubToken() string {
	payload := base64.RawURLEncoding.EncodeToString([]byte(`{"c4n4ry":"` + strings.Repeat("JobToken0123456789", 15) + `"}`))
	return "ghs_eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCJ9." + payload + "." + strings.Repeat("c4n4ryJobSignature", 5)
}

var (
	password = canary{"password", "acme", `c4n4ry/+"<&>%s\p4ssw0rd`}
	keyFile  = canary{"key file", "_json_key", "{\n  \"private_key_id\": \"c4n4ry0123456789\",\n  \"private_key\": \"-----BEGIN PRIVATE KEY-----\\nMIIEc4n4ryKEY\\n-----END PRIVATE KEY-----\\n\"\n}"}
	jobToken = canary{"github-token", "octocat", gitHubToken()}
	bearer   = canary{"bearer token", "", "eyJhbGciOiJub25lIn0.c4n4ryBearer0123456789.c2ln"}
	renewal  = canary{"refresh token", "", "c4n4ryRefresh+/=0123456789"}
	opaque   = canary{"opaque token", "", "c4n4ryOpaque.Token-0123456789"}
	oidc     = canary{"OIDC token", "", "eyJraWQiOiJjNG40cnkifQ.c4n4ryOIDC0123456789.c2ln"}
	request  = canary{"OIDC request token", "", "c4n4ryRequestToken0123456789"}
	awsKey   = canary{"AWS secret key", "AKIAEXAMPLE", "c4n4ryAwsSecret+/0123456789abcdefghijkl"}
	proxyKey = canary{"proxy password", "proxyuser", "c4n4ryProxyPassword"}
)
