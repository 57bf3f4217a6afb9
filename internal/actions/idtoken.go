package actions

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/sethvargo/go-githubactions"

	"github.com/multi-registry-push/multi-registry-push/internal/redact"
)

// https://docs.github.com/en/actions/reference/openid-connect-reference
const (
	idTokenURL          = "ACTIONS_ID_TOKEN_REQUEST_URL"
	idTokenRequestToken = "ACTIONS_ID_TOKEN_REQUEST_TOKEN" // #nosec G101 -- a name
)

// Errors of IDToken.
var (
	// ErrNoIDToken says that the job may not ask for OIDC tokens.
	ErrNoIDToken = errors.New("the job may not ask for OIDC tokens")
	// ErrInvalidIDToken says that the answer holds no token, or something that is none.
	ErrInvalidIDToken = errors.New("the answer holds no token")
)

// longestRefusal bounds what is repeated of a refusal, in bytes.
const longestRefusal = 300

// RefusedError is an answer other than success to the question for an OIDC token.
type RefusedError struct {
	Host    string
	Status  int
	Message redact.Redacted // one line
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("%s answered %d %s: %s", e.Host, e.Status, http.StatusText(e.Status), e.Message)
}

// IDToken asks for the job's OIDC token for an audience; the token was given to Learn
// when it is returned. Its errors are ErrNoIDToken, ErrInvalidIDToken, a *RefusedError and
// those of the client.
func (r *Runner) IDToken(ctx context.Context, audience string) (redact.Text, error) {
	value, err := r.action.GetIDToken(ctx, audience)
	if err != nil {
		if ctx.Err() != nil {
			return redact.Text{}, ctx.Err()
		}
		return redact.Text{}, r.idTokenError(err)
	}
	if value = strings.TrimSpace(value); !redact.ValidToken(value) {
		return redact.Text{}, ErrInvalidIDToken
	}
	token := redact.New(value)
	r.o.Learn("", token)
	return token, nil
}

// idTokenError makes an error of the library fit to be shown: those of net/http repeat the
// address with its parameters, those of JSON what was read, and refusals all that was said.
func (r *Runner) idTokenError(err error) error {
	var missing *githubactions.EnvMissingError
	var refused *githubactions.RequestFailedError
	var sent *url.Error
	address, parseErr := url.Parse(r.action.Getenv(idTokenURL))
	switch {
	case errors.As(err, &missing):
		return ErrNoIDToken
	case parseErr != nil || address.Host == "":
		return errors.New(idTokenURL + " is not an address")
	case errors.As(err, &refused):
		said := strings.Join(strings.Fields(r.o.Clean(message(refused.Body))), " ")
		return &RefusedError{Host: address.Host, Status: refused.StatusCode,
			Message: redact.Redacted(said).Cut(longestRefusal)}
	case errors.As(err, &sent):
		return sent.Err
	}
	return fmt.Errorf("the answer of %s is not the JSON that was expected", address.Host)
}

// message returns what an error of GitHub's services says to people, else all of it.
func message(body string) string {
	var answer struct {
		Message string `json:"message"`
	}
	if json.Unmarshal([]byte(body), &answer) == nil && answer.Message != "" {
		return answer.Message
	}
	return body
}
