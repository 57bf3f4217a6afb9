package app

import (
	"slices"
	"strings"
	"testing"

	"github.com/multi-registry-push/multi-registry-push/internal/redact"
	"github.com/multi-registry-push/multi-registry-push/internal/report"
)

// What an image says of itself forges no lines of the log.
func TestTheSourcesWordsStayInOneLine(t *testing.T) {
	sent := []string{"linux/amd64\nacme.example: done", "linux/hunter2"}
	e := redacted(report.SourceKnown{Reference: "a\nb", Digest: "c\nd", MediaType: "e\r\nf", Platforms: sent}, func(s string) string {
		return strings.ReplaceAll(s, "hunter2", "***")
	}).(report.SourceKnown)
	if want := []string{"linux/amd64 acme.example: done", "linux/hunter2"}; !slices.Equal(e.Platforms, want) {
		t.Errorf("%q", e.Platforms)
	}
	if e.Reference != "a b" || e.Digest != "c d" || e.MediaType != "e f" {
		t.Errorf("%+v", e)
	}
	if sent[1] != "linux/hunter2" {
		t.Error("the sender's own slice has changed")
	}
	p := redacted(report.RegistryPlanned{Accounts: []string{"OIDC, AWS role a\nb"}}, strings.ToUpper).(report.RegistryPlanned)
	if !slices.Equal(p.Accounts, []string{"OIDC, AWS ROLE A B"}) {
		t.Errorf("%q", p.Accounts)
	}
}

func TestProxyPasswordsAreSecret(t *testing.T) {
	for _, address := range []string{
		"http://user:pa%40ss-word@proxy:8080", "user:pa%40ss-word@proxy:8080", "socks5://user:pa@ss-word@proxy", "https://user:pa%40ss-word@[::1", "user:pa@ss-word@proxy",
	} {
		for _, name := range []string{"HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"} {
			redactor := redact.NewRedactor(nil)
			learnSecrets(nil, map[string]string{name: address}, redactor)
			if got := redactor.Redact("proxy " + address + " and pa@ss-word"); strings.Contains(got, "word") {
				t.Errorf("%s=%s: %q", name, address, got)
			}
		}
	}
	redactor := redact.NewRedactor(nil)
	learnSecrets(nil, map[string]string{"HTTPS_PROXY": "http://proxy:8080", "ALL_PROXY": "proxy:8080"}, redactor)
	if got := redactor.Redact("http://proxy:8080"); got != "http://proxy:8080" {
		t.Errorf("%q", got)
	}
}
