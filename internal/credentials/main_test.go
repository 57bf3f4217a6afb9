package credentials

import (
	"context"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/multi-registry-push/multi-registry-push/internal/imageref"
	"github.com/multi-registry-push/multi-registry-push/internal/redact"
	"github.com/multi-registry-push/multi-registry-push/internal/retry/clocktest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newClock() *clocktest.Clock {
	return clocktest.New(time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC))
}

func env(pairs ...string) func(string) string {
	m := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return func(name string) string { return m[name] }
}

// jobOf is the job of an environment as a runner sets it.
func jobOf(getenv func(string) string) Job {
	job := Job{
		ServerURL: getenv("GITHUB_SERVER_URL"), Forge: getenv("GITEA_ACTIONS") != "", Actor: getenv("GITHUB_ACTOR"), InContainer: getenv("HOME") == "/github/home",
	}
	if getenv("ACTIONS_ID_TOKEN_REQUEST_URL") != "" {
		job.IDToken = func(context.Context, string) (redact.Text, error) { return redact.New("id-token"), nil }
	}
	return job
}

func repo(host, path string) imageref.Repository {
	return imageref.Repository{Host: host, Path: path}
}

func set(s string) Value { return Value{Set: true, Text: s} }

// login returns an item with user name and password.
func login(line int, registry, path, user, password string) Item {
	return Item{Line: line, Registry: registry, Path: path, Username: set(user), Password: redact.New(password), PasswordSet: true}
}

// credential returns what the choice would send.
func credential(t *testing.T, c Credential) (user, password string) {
	t.Helper()
	config, err := c.Auth.Authorization()
	if err != nil {
		t.Fatal(err)
	}
	return config.Username, config.Password
}
