package credentials

import (
	"encoding/base64"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/multi-registry-push/multi-registry-push/internal/redact"
)

// How long a password holds is what the answer said, else what the token says, else what its
// provider documents; and it is masked in the form in which it is sent.
func TestPasswordOfToken(t *testing.T) {
	at := newClock().Now()
	says := at.Add(20 * time.Minute)
	payload := base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"exp":%d}`, says.Unix()))
	jwt := redact.New("eyJhbGciOiJFZERTQSJ9." + payload + ".c2lnbmF0dXJl")
	opaque := redact.New("an-opaque-token-of-a-provider")
	for name, tt := range map[string]struct {
		token token
		want  time.Time
	}{
		"the answer":   {token{token: jwt, at: at, expires: at.Add(time.Minute)}, at.Add(time.Minute)},
		"the token":    {token{token: jwt, at: at}, says},
		"the provider": {token{token: opaque, at: at}, at.Add(time.Hour)},
	} {
		var masks []string
		r, _ := NewResolver(Options{Redactor: redact.NewRedactor(func(form string) { masks = append(masks, form) })})
		r.o.Redactor.LearnIssued("provider.example", tt.token.token)
		got := r.passwordOf("robot", tt.token, time.Hour)
		if !got.expires.Equal(tt.want) || !got.at.Equal(at) {
			t.Errorf("%s: from %s to %s, want %s", name, got.at, got.expires, tt.want)
		}
		if header := base64.StdEncoding.EncodeToString([]byte("robot:" + got.config.Password)); !slices.Contains(masks, header) {
			t.Errorf("%s: the login is not masked: %q", name, masks)
		}
	}
}
