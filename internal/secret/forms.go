package secret

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// shortest is the length below which a form is not searched for on its own: masking
// "1" or "ab" would blacken every log line and hide nothing.
const shortest = 4

// forms returns the spellings in which a secret can end up in a text: as it is, line by
// line, base64 (alone and behind the user name, as in Authorization headers and Docker's
// config), URL-, JSON- and Go-escaped.
func forms(user, value string) []string {
	if value == "" {
		return nil
	}
	var out []string
	add := func(s string) {
		if len(s) >= shortest && !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	escaped := func(s string) {
		add(s)
		add(url.QueryEscape(s))
		add(url.PathEscape(s))
		add(jsonEscape(s))
		add(strings.Trim(strconv.Quote(s), `"`))
		add(strings.Trim(strconv.QuoteToASCII(s), `"`))
	}
	encoded := func(s string) {
		add(base64.StdEncoding.EncodeToString([]byte(s)))
		add(base64.RawStdEncoding.EncodeToString([]byte(s)))
		add(base64.URLEncoding.EncodeToString([]byte(s)))
		add(base64.RawURLEncoding.EncodeToString([]byte(s)))
	}
	escaped(value)
	encoded(value)
	for line := range strings.Lines(value) {
		if line = strings.TrimSpace(line); line != value {
			escaped(line)
		}
	}
	if user != "" {
		encoded(user + ":" + value)
		escaped(base64.StdEncoding.EncodeToString([]byte(user + ":" + value)))
	}
	return out
}

func jsonEscape(s string) string {
	b, err := json.Marshal(s)
	if err != nil { // a string always marshals
		return s
	}
	return strings.Trim(string(b), `"`)
}

func longestFirst(set map[string]bool) []string {
	all := make([]string, 0, len(set))
	for s := range set {
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b string) int {
		return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b))
	})
	return all
}
