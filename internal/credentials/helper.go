package credentials

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os/exec"
	"strings"
	"time"

	"github.com/multi-registry-push/multi-registry-push/internal/redact"
)

// errNoCredentials is a helper's answer that it knows no credential of the server.
var errNoCredentials = errors.New("credentials not found in native keychain")

// execHelper runs `docker-credential-NAME get` with the server on its standard input.
// https://github.com/docker/docker-credential-helpers#development
func execHelper(ctx context.Context, name, server string) (string, redact.Text, error) {
	if name == "" || strings.ContainsAny(name, `/\`) {
		return "", redact.Text{}, errors.New("is not the name of a helper")
	}
	// #nosec G204 -- the user's configuration names it, without a path
	cmd := exec.CommandContext(ctx, "docker-credential-"+name, "get")
	cmd.Stdin = strings.NewReader(server)
	cmd.WaitDelay = time.Second // a grandchild that holds the pipe does not hold us
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		var exit *exec.ExitError
		switch {
		case ctx.Err() != nil:
			return "", redact.Text{}, errors.New("did not answer in time")
		case !errors.As(err, &exit):
			return "", redact.Text{}, errors.New("could not be started")
		case strings.Contains(out.String()+"\n"+said.String(), errNoCredentials.Error()):
			return "", redact.Text{}, errNoCredentials
		}
		// What it printed is not shown: it may be half of a credential.
		return "", redact.Text{}, errors.New("failed (" + exit.String() + ")")
	}
	var answer struct {
		Username string `json:"Username"`
		Secret   string `json:"Secret"`
	}
	if json.Unmarshal(out.Bytes(), &answer) != nil {
		return "", redact.Text{}, errors.New("answered something that is not JSON")
	}
	return answer.Username, redact.New(answer.Secret), nil
}
