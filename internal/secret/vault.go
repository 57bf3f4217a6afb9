package secret

import (
	"strings"
	"sync"
)

// Vault knows every secret of a run, in every form in which it could show up. It is
// safe for concurrent use.
type Vault struct {
	onForm func(string)

	mu       sync.RWMutex
	known    map[string]bool
	replacer *strings.Replacer
}

// NewVault returns an empty vault. onForm, which may be nil, is called once for each
// new form, before Learn returns: in a workflow it prints ::add-mask::.
func NewVault(onForm func(form string)) *Vault {
	return &Vault{onForm: onForm, known: map[string]bool{}, replacer: strings.NewReplacer()}
}

// Learn takes a secret, and the user name that it is sent with if there is one, and
// from then on knows all forms of both. Call it before the secret's first use.
func (v *Vault) Learn(user string, s Text) {
	v.mu.Lock()
	defer v.mu.Unlock()
	var pairs []string
	fresh := false
	for _, form := range forms(user, s.Reveal()) {
		if v.known[form] {
			continue
		}
		fresh = true
		v.known[form] = true
		if v.onForm != nil {
			v.onForm(form)
		}
	}
	if !fresh {
		return
	}
	for _, form := range longestFirst(v.known) {
		pairs = append(pairs, form, mask)
	}
	v.replacer = strings.NewReplacer(pairs...)
}

// Redact returns text with every known form replaced by ***.
func (v *Vault) Redact(text string) string {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.replacer.Replace(text)
}
