package leak

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"unicode/utf16"
)

// A registry chooses its tokens, not what the others' outputs, summary and log look like.
func TestTokensChooseNothing(t *testing.T) {
	const good = "good.example"
	for _, token := range []string{
		"sha256:", "localhost:5000", `"retries":`, "```", "pushed", "a", good, good + "/me/app", "application/json", "registry", strings.Repeat("0123456789abcdef", 4),
	} {
		evil := canary{"a token", "", token}
		n := &network{hosts: map[string]http.Handler{
			good: locked(password, plainRegistry()), "source.example": locked(keyFile, plainRegistry()),
			host: tokenAuth("https://auth.example/token", evil, plainRegistry()), "auth.example": answer(200, `{"token":`+strconv.Quote(token)+`}`),
		}}
		o := run(t, n, true, append(publish(good+"/me/app:1\n"+host+"/me/app:1", item(good, password)+item(host, password)), "INPUT_SOURCE="+localImage(t)))
		if !strings.Contains(o.stdout, good+"  ") || !strings.Contains(o.stdout, good+"/me/app:1") {
			t.Errorf("token %q hides %s in the log:\n%s", token, good, o.stdout)
		}
		if !strings.Contains(o.output, good+"/me/app:1") || !strings.Contains(o.summary, good) || strings.Contains(o.output, `"registry":"***`) {
			t.Errorf("token %q: exit status %d\n%s\n%s", token, o.status, o.output, o.stdout)
		}
		ended := o.output[strings.LastIndex(o.output, "digest<<"):] // what the runner takes
		for _, line := range strings.Split(ended, "\n") {
			if strings.HasPrefix(line, "{") && !strings.HasPrefix(line, `{"app":"sha256:`) && (!strings.Contains(line, `"digest":"sha256:`) || !strings.Contains(line, `"registry":"`+good+`","status":"pushed"`) || !strings.Contains(line, `"retries":`)) {
				t.Errorf("token %q: results %s", token, line)
			}
		}
		for _, m := range o.masks {
			if len(m) < 8 || strings.Contains("sha256: localhost:5000 "+good+"/me/app:1", m) {
				t.Errorf("token %q: %q is masked", token, m)
			}
		}
		checkText(t, o)
	}
}

// What a workflow itself writes into a reference is public there.
func TestPasswordsThatAreWords(t *testing.T) {
	word := canary{"a word", "admin", "admin"}
	n := &network{hosts: map[string]http.Handler{host: locked(word, plainRegistry())}}
	o := run(t, n, true, append(publish(host+"/admin/app:1", item(host, word)), "INPUT_SOURCE="+localImage(t)))
	if o.status != 0 || !strings.Contains(o.output, "\n"+host+"/admin/app:1\n") || !strings.Contains(o.output, `"images":["`+host+`/admin/app:1"]`) {
		t.Errorf("exit status %d:\n%s\n%s", o.status, o.output, o.stdout)
	}
}

// A password that is a word of ours, or that the workflow wrote into a reference, hides
// neither in the log; what the registry says of it is redacted all the same.
func TestPasswordsThatAreOurWords(t *testing.T) {
	for _, word := range []string{"registry", "failed", "pushed", "layers", "unchanged", "acme-2026"} {
		secret := canary{"a word", "alice", word}
		says := answer(403, `{"errors":[{"code":"DENIED","message":"the quota of <`+word+`> is used up"}]}`)
		n := &network{hosts: map[string]http.Handler{
			host: locked(secret, plainRegistry()), "full.example": locked(secret, says),
		}}
		o := run(t, n, true, append(publish(host+"/acme-2026/app:1\nfull.example/acme-2026/app:1",
			item(host, secret)+item("full.example", secret)), "INPUT_SOURCE="+localImage(t)))
		for _, want := range []string{"REGISTRY", host + "/acme-2026/app:1", "pushed", "full.example", "failed: "} {
			if !strings.Contains(o.stdout, want) {
				t.Errorf("password %q: the log lacks %q:\n%s", word, want, o.stdout)
			}
		}
		if all := o.stdout + o.summary + o.output; strings.Contains(all, "quota of <"+word) || !strings.Contains(all, "quota of") {
			t.Errorf("password %q: what the registry says is not redacted:\n%s", word, o.stdout)
		}
	}
}

// escapes spells s as languages and servers do that have never heard of Go.
func escapes(s string) []string {
	percent := func(stays string) string {
		var b strings.Builder
		for _, c := range []byte(s) {
			if c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || strings.IndexByte(stays, c) >= 0 {
				b.WriteByte(c)
			} else {
				fmt.Fprintf(&b, "%%%02X", c)
			}
		}
		return b.String()
	}
	var decimal, hexadecimal, upper, latin, misread strings.Builder
	for _, r := range s {
		fmt.Fprintf(&decimal, "&#%d;", r)
		fmt.Fprintf(&hexadecimal, "&#x%X;", r)
		if r < 0x80 {
			latin.WriteRune(r)
		} else {
			latin.WriteRune('\uFFFD')
		}
	}
	for _, u := range utf16.Encode([]rune(s)) {
		fmt.Fprintf(&upper, `\u%04X`, u)
	}
	for _, c := range []byte(s) {
		misread.WriteRune(rune(c))
	}
	named := strings.NewReplacer("&", "&amp;", `"`, "&quot;", "'", "&apos;", "(", "&lpar;", ")", "&rpar;", "!", "&excl;", "*", "&ast;", "é", "&eacute;", "/", "&sol;").Replace(s)
	all := []string{percent("-_.!~*'()"), percent("_.-~/"), strings.ReplaceAll(percent(".-*_ "), " ", "+"), named, decimal.String(), hexadecimal.String(), upper.String(), latin.String(), misread.String()}
	for offset := range 4 {
		all = append(all, base64.StdEncoding.EncodeToString([]byte("xyzw"[:offset]+s+"~")), base64.RawURLEncoding.EncodeToString([]byte("xyzw"[:offset]+s)))
	}
	return all
}

// A registry repeats its request in whatever escapes its language writes, cut and broken.
func TestEscapesOfOtherLanguages(t *testing.T) {
	special := canary{"special", "acme", `c4n&4ry"!*'()/Wörd-é`}
	job := canary{"github-token", "octocat", "ghs_" + base64.RawURLEncoding.EncodeToString([]byte(strings.Repeat(`{"alg":"RS256"}c4n4ry`, 18)))}
	if len(job.value) < 500 {
		t.Fatalf("the job's token has %d characters", len(job.value))
	}
	for name, c := range map[string]struct {
		secret  canary
		said    []string
		environ []string
	}{
		"password":    {special, escapes(special.value), publish(host+"/me/app:1", item(host, special))},
		"job's token": {job, append(escapes(job.value), job.value[:30], job.value[:200]+"\n"+job.value[200:], job.value[:300]+"\r\n "+job.value[300:]), append(publish("ghcr.io/me/app:1", ""), "INPUT_GITHUB-TOKEN="+job.value)},
	} {
		for i, said := range c.said {
			refusing := answer(403, `{"errors":[{"code":"DENIED","message":`+quotedJSON("you sent <"+said+">")+`}]}`)
			n := &network{hosts: map[string]http.Handler{host: locked(c.secret, on("POST", "", refusing, plainRegistry())), "ghcr.io": locked(c.secret, on("POST", "", refusing, plainRegistry()))}}
			o := run(t, n, true, append(c.environ, "INPUT_SOURCE="+localImage(t)))
			if o.status != 1 || !strings.Contains(o.stdout, "you sent <") {
				t.Fatalf("%s: exit status %d:\n%s", name, o.status, o.stdout)
			}
			text := o.everything()
			for at := 0; at+20 <= len(said); at += 7 {
				if part := said[at : at+20]; strings.Contains(text, part) {
					t.Errorf("%s, spelled %q (%d): %q is shown", name, said, i, part)
					break
				}
			}
			if strings.Contains(text, said) {
				t.Errorf("%s, spelled %q, is shown", name, said)
			}
		}
	}
}

// Redaction comes before case, cutting and Markdown's escapes, in remedies too.
func TestInputsThatRepeatAPassword(t *testing.T) {
	secret := canary{"password", "acme", "Hunter2_pass*word!X"}
	for name, environ := range map[string][]string{
		"source":      {"INPUT_SOURCE=" + secret.value},
		"tag":         {"INPUT_TAGS=" + host + "/me/App" + "Hunter2_pass" + "*word!X:1"},
		"behind much": {"INPUT_CONCURRENCY=" + strings.Repeat("x", 290) + secret.value},
		"platform":    {"INPUT_PLATFORMS=" + secret.value},
	} {
		n := &network{hosts: map[string]http.Handler{host: locked(secret, plainRegistry())}}
		o := run(t, n, true, append(publish(host+"/me/app:1", item(host, secret)), environ...))
		if o.status != 1 {
			t.Errorf("%s: exit status %d:\n%s", name, o.status, o.stdout)
		}
		text := strings.ToLower(o.everything())
		for _, part := range []string{"hunter2", "word!x", "pass*word", "pass&#42;word"} {
			if strings.Contains(text, part) {
				t.Errorf("%s: %q is shown:\n%s\n%s", name, part, o.stdout, o.summary)
			}
		}
	}
}
