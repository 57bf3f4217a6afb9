package config

import "github.com/multi-registry-push/multi-registry-push/internal/usererror"

// problems collects what is wrong with the inputs, so that all of it is reported at once.
type problems []error

func (p *problems) add(code usererror.Code, what, remedy string) {
	*p = append(*p, usererror.New(code, "", what, remedy, nil))
}

// short bounds outside text in messages. Far above what is ever shown: that is cut when the
// message was redacted, since half a secret is not found.
func short(s string) string {
	const most = 64 << 10
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}
