package config

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/multi-registry-push/multi-registry-push/internal/credentials"
	"github.com/multi-registry-push/multi-registry-push/internal/redact"
	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

func items(t *testing.T, text string) ([]credentials.Item, problems, []string) {
	t.Helper()
	var learned []string
	in := &inputs{values: map[string]string{"registry-auth": text}, workflow: true}
	got := in.parseItems(func(user string, s redact.Text) { learned = append(learned, user+":"+s.Reveal()) })
	return got, in.bad, learned
}

func one(t *testing.T, text string) credentials.Item {
	t.Helper()
	got, bad, _ := items(t, text)
	if len(bad) > 0 || len(got) != 1 {
		t.Fatalf("%q: %d items, %v", text, len(got), bad)
	}
	return got[0]
}

func TestNoItems(t *testing.T) {
	for _, text := range []string{"", " \n\n", "# nothing yet\n", "null", "~", "[]", "\ufeff", "---\n", "--- null\n...\n"} {
		if got, bad, _ := items(t, text); len(got)+len(bad) > 0 {
			t.Errorf("%q: %v %v", text, got, bad)
		}
	}
}

func TestPasswordsAreTakenAsWritten(t *testing.T) {
	for written, want := range map[string]string{
		"00123": "00123", "1e3": "1e3", "true": "true", "0x1F": "0x1F", "1_000": "1_000", ".inf": ".inf", "2001-01-01": "2001-01-01",
		"yes": "yes", "=": "=", "a:b": "a:b", "a#b": "a#b", "<<": "<<", "12:30:45": "12:30:45", "0o17": "0o17", "-5": "-5",
		`"null"`: "null", `'null'`: "null", `"a # b"`: "a # b", `"a\nb"`: "a\nb", `'it''s'`: "it's", `"\u00e4"`: "ä",
		"a b": "a b", "a, b]": "a, b]", "$2y$05$abc/def": "$2y$05$abc/def", "pass&word*": "pass&word*", "  spaced": "spaced", "p%40": "p%40",
		`"a # b"  `: "a # b", `'it''s # x'`: "it's # x", `"a\" # b"`: `a" # b`, "abc  ": "abc", "-dash": "-dash", "?x": "?x", ":x": ":x", `a"b`: `a"b`, `a\nb`: `a\nb`,
		"|\n    one\n    two\n": "one\ntwo", "|-\n    one": "one",
	} {
		item := one(t, "- registry: ghcr.io\n  username: me\n  password: "+written+"\n")
		if got := item.Password.Reveal(); got != want || !item.PasswordSet {
			t.Errorf("%s: got %q, want %q", written, got, want)
		}
	}
	item := one(t, "- {username: a b, password: c, registry: quay.io}")
	if item.Username.Text != "a b" || item.Password.Reveal() != "c" || item.Registry != "quay.io" {
		t.Errorf("flow style: %+v", item)
	}
	item = one(t, `[{"registry":"ghcr.io","username":"me","password":"a: # \"b\""}]`)
	if item.Password.Reveal() != `a: # "b"` {
		t.Errorf("JSON: %q", item.Password.Reveal())
	}
}

// toJSON is what the documents recommend: it must carry any secret.
func TestToJSONCarriesAnySecret(t *testing.T) {
	key := "{\n  \"type\": \"service_account\",\n  \"private_key\": \"-----BEGIN PRIVATE KEY-----\\nMIIE\\n-----END PRIVATE KEY-----\\n\"\n}\n"
	for _, value := range []string{key, "a: b # c", "&x", "*x", "!x", "null", "~", "@`%", "tab\there", "ü🙂", "\"", "\\", "- a\n- b", "${{ x }}", " lead", "trail ", "#", "'", "\r\n", "[", "{", "|", ">"} {
		var b strings.Builder
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		if err := e.Encode(value); err != nil {
			t.Fatal(err)
		}
		item := one(t, "- registry: ghcr.io\n  username: me\n  password: "+b.String())
		want := strings.TrimRight(value, "\r\n") // files and password managers add line ends
		if strings.TrimSpace(value) == "" {
			want = "" // nothing but white space is no password
		}
		if got := item.Password.Reveal(); got != want {
			t.Errorf("%q arrived as %q", value, got)
		}
	}
}

func TestEmptyCredentials(t *testing.T) {
	for _, empty := range []string{"", "null", `""`, "''", "~", "   "} {
		item := one(t, "- registry: ghcr.io\n  username: "+empty+"\n  password: "+empty+"\n")
		if !item.Username.Set || item.Username.Text != "" || !item.PasswordSet || !item.Password.IsZero() || item.Skip != "" {
			t.Errorf("%q: %+v", empty, item)
		}
		item = one(t, "- registry: "+empty+"\n  username: u\n  password: p\n")
		if item.Skip == "" || item.Registry != "" {
			t.Errorf("registry %q: %+v", empty, item)
		}
		item = one(t, "- registry: 123456789012.dkr.ecr.eu-west-1.amazonaws.com\n  aws-role: "+empty+"\n")
		if !item.AWSRole.Set || item.AWSRole.Text != "" {
			t.Errorf("aws-role %q: %+v", empty, item)
		}
	}
}

func TestItemKeys(t *testing.T) {
	text := `
# a comment is fine where no credential is
- username: me # wait, not behind a credential
  password: p
`
	if _, bad, _ := items(t, text); len(bad) != 1 || !strings.Contains(bad[0].Error(), "line 3, column 13") {
		t.Errorf("%v", bad)
	}
	text = `
- registry: https://index.docker.io/v1/  # the old name
  username: me
  password: p
  tags-matching: v?\d+\.\d+\.\d+  # releases
  required: FALSE
  insecure: "true"
- registry: quay.io/org/app/
  anonymous: True
- registry: docker.io
  scope: acme/app@push,pull
- registry: 123456789012.dkr.ecr.eu-west-1.amazonaws.com
  ecr: false
  username: AWS
  password: x
- registry: europe-docker.pkg.dev
  gcp-provider: projects/1/locations/global/workloadIdentityPools/p/providers/q
  gcp-service-account: a@b.iam.gserviceaccount.com
- registry: acme.azurecr.io
  azure-client: c
  azure-tenant: t
- registry: quay.io
  quay-robot: acme+publisher
  quay-audience: aud
  public: true
- registry: acme.jfrog.io
  jfrog-provider: github
  jfrog-audience: aud
  jfrog-url: https://acme.jfrog.io
- registry: 123456789012.dkr.ecr.eu-west-3.amazonaws.com
  aws-role: arn:aws:iam::123456789012:role/publish
  aws-session: release
  ecr-tag-mutability: immutable_with_exclusion
  ecr-tag-exclusions: [latest, dev-*]
- registry: 123456789012.dkr.ecr.eu-west-2.amazonaws.com
  ecr-tag-mutability: IMMUTABLE_WITH_EXCLUSION
  ecr-tag-exclusions: latest, dev-*
`
	got, bad, learned := items(t, text)
	if len(bad) > 0 || len(got) != 10 {
		t.Fatalf("%d items, %v", len(got), bad)
	}
	hub := got[0]
	if hub.Registry != "docker.io" || hub.Line != 2 || hub.Required == nil || *hub.Required || !hub.Insecure || hub.ECR != "auto" {
		t.Errorf("%+v", hub)
	}
	for tag, want := range map[string]bool{"v1.2.3": true, "1.2.3": true, "1.2.3-rc1": false, "x1.2.3": false, "1.2.3\n": false} {
		if hub.TagsMatching.MatchString(tag) != want {
			t.Errorf("tags-matching on %q is %v", tag, !want)
		}
	}
	if got[1].Registry != "quay.io" || got[1].Path != "org/app" || !got[1].Anonymous {
		t.Errorf("%+v", got[1])
	}
	if got[2].Registry != "docker.io" || got[2].Path != "acme/app" || got[2].HasCredentialKey() {
		t.Errorf("%+v", got[2])
	}
	if got[3].ECR != "false" || got[4].GCPProvider.Text == "" || got[4].GCPServiceAccount.Text == "" || got[5].AzureClient.Text != "c" || got[5].AzureTenant.Text != "t" {
		t.Errorf("%+v", got[3:])
	}
	if got[6].QuayRobot.Text != "acme+publisher" || got[6].QuayAudience.Text != "aud" || !got[6].Public ||
		got[7].JFrogProvider.Text != "github" || got[7].JFrogAudience.Text != "aud" || got[7].JFrogURL.Text != "https://acme.jfrog.io" || got[8].AWSSession.Text != "release" {
		t.Errorf("%+v", got[6:])
	}
	for _, item := range got[8:] {
		if item.ECRTagMutability != "IMMUTABLE_WITH_EXCLUSION" || strings.Join(item.ECRTagExclusions, " ") != "latest dev-*" {
			t.Errorf("%+v", item)
		}
	}
	if strings.Join(learned, " ") != "me:p AWS:x" {
		t.Errorf("learned %q", learned)
	}
	for text, says := range map[string]string{
		"- registry: 123456789012.dkr.ecr.eu-west-1.amazonaws.com\n  ecr-tag-exclusions: {a: b}": "the value of ecr-tag-exclusions is not text",
		"- registry: ghcr.io\n  public: maybe":                                                   "public is neither true nor false",
		"- registry: ghcr.io\n  quay-robt: x":                                                    `there is no key "quay-robt"`,
	} {
		if _, bad, _ := items(t, text); len(bad) != 1 || !strings.Contains(bad[0].Error(), says) {
			t.Errorf("%q: %v", text, bad)
		}
	}
}

// TestPasswordEnv: on a command line a variable holds the password; unset it is empty, which
// is not what is written beside it.
func TestPasswordEnv(t *testing.T) {
	in := &inputs{values: map[string]string{"registry-auth": "- registry: ghcr.io\n  username: me\n  password-env: GHCR_TOKEN\n"}}
	got := in.parseItems(func(string, redact.Text) {})
	if len(in.bad) > 0 || len(got) != 1 || got[0].PasswordEnv.Text != "GHCR_TOKEN" || got[0].PasswordSet {
		t.Errorf("%v, %+v", in.bad, got)
	}
	in.values["registry-auth"] += "  password: x\n"
	if in.parseItems(func(string, redact.Text) {}); len(in.bad) != 1 || !strings.Contains(in.bad[0].Error(), "password-env") {
		t.Errorf("%v", in.bad)
	}
}

// Whatever is wrong is told by line and column, without the value, with what to do.
func TestWrongItems(t *testing.T) {
	const canary = "c4nary-v4lue"
	in := func(lines string) string { return "- registry: ghcr.io\n  username: me\n" + lines }
	for name, c := range map[string]struct {
		text, at, says, advises string
		code                    usererror.Code
	}{
		"unknown key":        {in("  usrname: " + canary), "line 3, column 3", `"usrname"`, "username", usererror.UnknownInput},
		"swapped letters":    {in("  pasword: " + canary), "line 3, column 3", `"pasword"`, "password", usererror.UnknownInput},
		"underscore":         {in("  aws_role: " + canary), "line 3, column 3", `"aws_role"`, "aws-role", usererror.UnknownInput},
		"secret as key":      {in("  password: abc\n  " + canary + "=: x"), "line 4, column 3", "no such key", "toJSON", usererror.UnknownInput},
		"merge key":          {in("  <<: {password: " + canary + "}"), "line 3, column 3", "no such key", "toJSON", usererror.UnknownInput},
		"duplicate":          {in("  password: " + canary + "\n  password: x"), "line 4, column 3", "line 3", "toJSON", usererror.InvalidAuth},
		"comment":            {in("  password: " + canary + " #def"), "line 3, column 13", "comment", "toJSON", usererror.InvalidAuth},
		"only comment":       {in("  password: #" + canary), "line 3", "comment", "toJSON", usererror.InvalidAuth},
		"comment and null":   {in("  password: null #" + canary), "line 3, column 13", "comment", "toJSON", usererror.InvalidAuth},
		"comment in flow":    {"- {username: me, password: " + canary + " #x\n  }", "line 1, column 28", "comment", "toJSON", usererror.InvalidAuth},
		"comment, quoted":    {in("  password: \"" + canary + "\" #def"), "line 3, column 13", "comment", "toJSON", usererror.InvalidAuth},
		"comment, 'quoted'":  {in("  password: 'it''s " + canary + "' # x"), "line 3, column 13", "comment", "toJSON", usererror.InvalidAuth},
		"lines, quoted":      {in("  password: \"a\n    " + canary + "\" # x"), "line 3, column 13", "comment", "toJSON", usererror.InvalidAuth},
		"behind flow":        {"- {username: me, password: " + canary + "} # foo", "line 1, column 28", "comment", "toJSON", usererror.InvalidAuth},
		"behind JSON":        {"[{\"username\": \"me\", \"password\": \"" + canary + "\"}] # foo", "line 1, column 33", "comment", "toJSON", usererror.InvalidAuth},
		"second line":        {in("  password: abc\n#" + canary), "line 3, column 13", "line below", "toJSON", usererror.InvalidAuth},
		"second line, in":    {in("  password: abc\n #" + canary + "\n  insecure: true"), "line 3, column 13", "line below", "toJSON", usererror.InvalidAuth},
		"next line":          {in("  password: " + canary + "\n    more"), "line 3, column 13", "next line", "toJSON", usererror.InvalidAuth},
		"anchor":             {in("  password: &" + canary + " x"), "line 3", "anchor", "toJSON", usererror.InvalidAuth},
		"anchor alone":       {in("  password: &" + canary), "line 3", "anchor", "toJSON", usererror.InvalidAuth},
		"alias":              {in("  password: *" + canary), "line 3", "alias", "toJSON", usererror.InvalidAuth},
		"known alias":        {"- &x\n  registry: ghcr.io\n- *x", "line 1", "anchor", "toJSON", usererror.InvalidAuth},
		"tag":                {in("  password: !" + canary + " x"), "line 3", "tag", "toJSON", usererror.InvalidAuth},
		"type tag":           {in("  password: !!binary " + canary), "line 3", "tag", "toJSON", usererror.InvalidAuth},
		"list":               {in("  password: [" + canary + "]"), "line 3, column 13", "not text", "toJSON", usererror.InvalidAuth},
		"map":                {in("  password: {a: " + canary + "}"), "line 3, column 13", "not text", "toJSON", usererror.InvalidAuth},
		"colon":              {in("  password: x: " + canary), "line 3, column 14", "colon", "toJSON", usererror.InvalidAuth},
		"at sign":            {in("  password: @" + canary), "line 3, column 13", "keeps for itself", "toJSON", usererror.InvalidAuth},
		"backtick":           {in("  password: `" + canary), "line 3, column 13", "keeps for itself", "toJSON", usererror.InvalidAuth},
		"percent":            {in("  password: %" + canary), "line 3, column 13", "keeps for itself", "toJSON", usererror.InvalidAuth},
		"open quote":         {in("  password: \"" + canary + "\n  insecure: true\n"), "line 3, column 13", "quote", "toJSON", usererror.InvalidAuth},
		"behind a quote":     {in("  password: \"x\"" + canary), "line 3, column 16", "", "toJSON", usererror.InvalidAuth},
		"bad escape":         {in("  password: \"\\c" + canary + "\""), "line 3, column 13", "", "toJSON", usererror.InvalidAuth},
		"open bracket":       {in("  password: [" + canary), "line 3, column 13", "bracket", "toJSON", usererror.InvalidAuth},
		"spilled lines":      {in("  password: -----BEGIN-----\n" + canary + "\n-----END-----\n"), "line 4", "spilled", "toJSON", usererror.InvalidAuth},
		"tab":                {in("\tpassword: " + canary), "line 3", "tab", "with spaces", usererror.InvalidAuth},
		"indentation":        {"- registry: ghcr.io\n   username: me\n  password: " + canary, "line 2, column", "not indented", "Indent the keys", usererror.InvalidAuth},
		"no UTF-8":           {"- registry: ghcr.io\n  username: \xffme\n  password: " + canary, "line 2, column 13", "not UTF-8", "Save", usererror.InvalidAuth},
		"UTF-16":             {"\xff\xfe-\x00 \x00", "line 1, column 1:", "not UTF-8", "Save", usererror.InvalidAuth},
		"block of nothing":   {in("  password: |-\n"), "line 3, column 13", "change", "toJSON", usererror.InvalidAuth},
		"no list":            {"registry: ghcr.io\npassword: " + canary, "line 1, column 1", "list", "dash", usererror.InvalidAuth},
		"text":               {canary, "line 1, column 1", "list", "dash", usererror.InvalidAuth},
		"list of text":       {"- " + canary, "line 1, column 3", "not a registry item", "", usererror.InvalidAuth},
		"empty item":         {"- registry: ghcr.io\n-\n", "line 2", "not a registry item", "", usererror.InvalidAuth},
		"two documents":      {"- registry: ghcr.io\n---\n- registry: quay.io", "", "more than one YAML document", "", usererror.InvalidAuth},
		"same twice":         {"- registry: docker.io\n- registry: https://index.docker.io/v1/", "line 2, column 3", "line 1", "", usererror.InvalidAuth},
		"same path twice":    {"- registry: quay.io/org\n- registry: quay.io\n  scope: org@pull", "line 2, column 3", "quay.io/org", "", usererror.InvalidAuth},
		"left out twice":     {"- username: a\n  password: b\n- username: c\n  password: d", "line 3, column 3", "docker.io", "", usererror.InvalidAuth},
		"scope and path":     {"- registry: quay.io/org\n  scope: app", "line 2, column 3", "same thing", "", usererror.InvalidAuth},
		"host":               {"- registry: ghcr io", "line 1, column 13", `"ghcr io"`, "HOST", usererror.InvalidAuth},
		"reference":          {"- registry: ghcr.io/me/app:1", "line 1, column 13", "app:1", "HOST", usererror.InvalidAuth},
		"boolean":            {in("  insecure: yes"), "line 3, column 13", "neither true nor false", "", usererror.InvalidAuth},
		"ecr":                {in("  ecr: maybe"), "line 3, column 8", "neither auto", "", usererror.InvalidAuth},
		"expression":         {in("  tags-matching: v(1"), "line 3, column 18", "missing closing )", "RE2", usererror.InvalidAuth},
		"expression, split":  {in("  tags-matching: a)|(b"), "line 3, column 18", "unexpected )", "RE2", usererror.InvalidAuth},
		"anonymous and user": {in("  anonymous: true"), "line 3, column 3", "exclude", "", usererror.InvalidAuth},
		"password alone":     {"- registry: ghcr.io\n  password: " + canary, "line 2, column 3", "needs username", "", usererror.InvalidAuth},
		"client alone":       {"- registry: a.azurecr.io\n  azure-client: x", "line 2, column 3", "needs azure-tenant", "", usererror.InvalidAuth},
		"Google elsewhere":   {"- registry: evil-gcr.io\n  gcp-provider: x", "line 2, column 3", "*.pkg.dev", "", usererror.InvalidAuth},
		"Azure elsewhere":    {"- registry: azurecr.io.evil.com\n  azure-client: x\n  azure-tenant: y", "line 2, column 3", "*.azurecr.io", "", usererror.InvalidAuth},
		"Hub elsewhere":      {"- registry: ghcr.io\n  dockerhub-connection: x", "line 2, column 3", "docker.io", "", usererror.InvalidAuth},
		"behind U+2028":      {"- registry: ghcr.io\u2028  usrname: x", "line 2, column 3", "usrname", "", usererror.UnknownInput},
	} {
		t.Run(name, func(t *testing.T) {
			_, bad, _ := items(t, c.text)
			if len(bad) == 0 {
				t.Fatal("nothing is wrong with it")
			}
			text, advice := bad[0].Error(), usererror.Advice(bad[0])
			if !strings.Contains(text, c.at) || !strings.Contains(text, c.says) || !strings.Contains(advice, c.advises) || !usererror.Is(bad[0], c.code) {
				t.Errorf("got %q, %q", text, advice)
			}
			if !strings.HasPrefix(text, "registry-auth") {
				t.Errorf("the input is not named: %q", text)
			}
			for _, err := range bad {
				if all := err.Error() + usererror.Advice(err); strings.Contains(all, canary) || strings.Contains(all, "c4nary") {
					t.Errorf("the value is repeated: %s", all)
				}
			}
		})
	}
}

// A comment is no part of a secret where it cannot be one, or where there is no secret.
func TestCommentsThatAreOnlyComments(t *testing.T) {
	for _, text := range []string{
		"- registry: ghcr.io\n  username: me\n  password: abc\n  # about the next key\n  insecure: true\n",
		"- registry: ghcr.io\n  username: me\n  password: abc\n\n# the next registry\n- registry: quay.io\n",
		"- registry: ghcr.io\n  username: me\n  password: \"abc\"\n# the next registry\n- registry: quay.io\n",
		"- registry: ghcr.io\n  username: me\n  password:\n# the next registry\n- registry: quay.io\n",
		"- registry: ghcr.io\n  password: abc\n  username: me\n# the next registry\n- registry: quay.io\n",
		"- registry: ghcr.io # GitHub\n  insecure: \"true\" # for now\n",
		"- {username: me, password: abc, required: false} # Docker Hub\n",
	} {
		if _, bad, _ := items(t, text); len(bad) > 0 {
			t.Errorf("%q: %v", text, bad)
		}
	}
}

// Every key that takes part in a login is taken whole or refused, and arrives.
func TestEveryCredentialKeyArrives(t *testing.T) {
	for _, name := range credentials.Keys() {
		cut := "YAML would change the value of " + name + " without a word"
		if _, bad, _ := items(t, "- registry: acme.example\n  "+name+": x # y\n"); len(bad) == 0 || !strings.Contains(bad[0].Error(), cut) {
			t.Errorf("%s: x # y: %v", name, bad)
		}
		got, bad, _ := items(t, "- registry: acme.example\n  "+name+": x\n")
		switch {
		case len(got) == 1 && len(bad) == 0 && got[0].HasCredentialKey():
			if v := got[0].Value(name); v != nil && v.Text != "x" {
				t.Errorf("%s arrived as %+v", name, v)
			}
		case len(bad) == 0 || !strings.Contains(bad[0].Error(), ": "+name+" "):
			t.Errorf("%s alone: %+v, %v", name, got, bad)
		}
	}
}

// An item with an empty key is skipped, whatever else it lacks.
func TestEmptyKeyIsNoError(t *testing.T) {
	for _, text := range []string{
		"{registry: ghcr.io, password: ''}", "{registry: ghcr.io, anonymous: true, username: ''}", "{registry: ghcr.io, dockerhub-connection: ''}",
		"{registry: a.azurecr.io, azure-client: ''}", "{registry: quay.io, gcp-provider: ''}", "{registry: gcr.io, gcp-service-account: null}",
		"{registry: ghcr.io, aws-role: '', password: x}",
	} {
		if item := one(t, "- "+text); !item.HasCredentialKey() {
			t.Errorf("%s: %+v", text, item)
		}
	}
	for _, text := range []string{"https://", "/acme", "https:///acme/app", "':5000'"} {
		if item := one(t, "- registry: "+text+"\n  username: u\n  password: p\n"); item.Skip == "" || item.Registry != "" {
			t.Errorf("%s: %+v", text, item)
		}
	}
}

// What is wrong with the host is said once, and not of Docker Hub.
func TestWrongHostIsSaidOnce(t *testing.T) {
	for _, text := range []string{
		"- registry: a b\n  azure-client: x\n  azure-tenant: y\n", "- registry: a b\n  username: u\n- registry: docker.io\n", "- registry: a b\n  scope: acme\n  gcp-provider: x\n",
	} {
		if _, bad, _ := items(t, text); len(bad) != 1 || !strings.Contains(bad[0].Error(), "a b") {
			t.Errorf("%q: %v", text, bad)
		}
	}
	// One wrong option hides nothing that is wrong with the way to log in.
	if _, bad, _ := items(t, "- registry: ghcr.io\n  password: p\n  insecure: 7\n"); len(bad) != 2 {
		t.Errorf("%v", bad)
	}
}

func TestPasswordsOfWrongItemsAreLearned(t *testing.T) {
	_, bad, learned := items(t, "- registry: [x]\n  password: one-password\n  usrname: me\n  username: you\n- password: two\n  password: three\n")
	if len(bad) == 0 || strings.Join(learned, " ") != "you:one-password :two :three" {
		t.Errorf("%v, %q", bad, learned)
	}
}

func TestAllProblemsAtOnce(t *testing.T) {
	_, bad, _ := items(t, "- registry: ghcr.io\n  usrname: a\n  ecr: x\n- registry: a b\n- registry: ghcr.io\n  insecure: 7\n")
	if len(bad) != 5 {
		t.Errorf("%d problems: %v", len(bad), bad)
	}
}

func FuzzItems(f *testing.F) {
	for _, seed := range []string{
		"- registry: ghcr.io\n  username: me\n  password: hunter22\n", "[{password: x}]", "- &a {}\n- *a", "- password: |\n    x\n   y", "\ufeff- a", "- password: #x",
		"- username: a\n  password: b: c", "- ? x\n  : y", "%YAML 1.2\n---\n- a", "- registry: \"", "- password: 'a''b'", "- password: >-\n  a\n\n  b",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 2000 {
			return
		}
		_, bad, _ := items(t, text)
		for _, err := range bad {
			if len(err.Error()) > 3000 {
				t.Errorf("a message of %d bytes", len(err.Error()))
			}
		}
	})
}

// A password of any characters, put between quotes by toJSON, always arrives; put there
// bare, it arrives unchanged or is refused.
func FuzzPassword(f *testing.F) {
	for _, seed := range []string{"hunter22", "#x", "a #b", "a: b", "null", "&a", "*a", "!a b", "|", ">-", "[a]", "{a}", "'a", "\"a\"", "~", "a\u0085b", "- a", "a\tb", "a, b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, password string) {
		if strings.TrimSpace(password) == "" || strings.ContainsAny(password, "\n\r\u0085\u2028\u2029") || strings.Contains(password, mask) || len(password) > 300 {
			return
		}
		if got, bad, _ := items(t, fmt.Sprintf("- username: me\n  password: %s\n  insecure: true\n", password)); len(bad) == 0 && len(got) == 1 {
			want := strings.Trim(password, " \t")
			switch p := got[0].Password.Reveal(); {
			case p == want, p == "" && (want == "~" || strings.EqualFold(want, "null")):
			case strings.ContainsAny(want[:1], `'"`): // quotes were meant
			default:
				t.Errorf("%q became %q", password, p)
			}
		}
	})
}

const mask = "***"
