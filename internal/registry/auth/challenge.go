package auth

import (
	"strings"
)

// challenge is one way in which a 401 asks for credentials.
type challenge struct {
	scheme                string // "basic", "bearer", or another in lower case
	realm, service, scope string
}

// choose returns the challenge to answer: Bearer where it names a realm, else Basic,
// whatever else is offered, and also where a 401 says nothing at all: proxies that know
// Kerberos, and registries behind them, take a password all the same. values are all
// headers WWW-Authenticate of a 401; offered is false if none of them is known.
func choose(values []string) (ch challenge, offered bool) {
	ch = challenge{scheme: "basic"}
	for _, value := range values {
		for _, c := range parseChallenges(value) {
			switch {
			case c.scheme == "bearer" && c.realm != "":
				return c, true
			case c.scheme == "basic":
				offered = true
			}
		}
	}
	return ch, offered
}

// parseChallenges reads a list of challenges: schemes, each with its parameters, all
// parted by commas (RFC 9110, 11.6.1). What cannot be read is skipped.
func parseChallenges(value string) (all []challenge) {
	for value != "" {
		value = strings.TrimLeft(value, " \t,")
		word, rest := cutToken(value)
		if word == "" {
			if value != "" {
				value = value[1:]
			}
			continue
		}
		after := strings.TrimLeft(rest, " \t")
		if !strings.HasPrefix(after, "=") {
			all = append(all, challenge{scheme: strings.ToLower(word)})
			value = rest
			continue
		}
		var text string
		text, value = cutValue(strings.TrimLeft(after[1:], " \t"))
		if len(all) > 0 {
			all[len(all)-1].set(strings.ToLower(word), text)
		}
	}
	return all
}

// set takes a parameter; the first of a name counts.
func (c *challenge) set(name, value string) {
	field := map[string]*string{"realm": &c.realm, "service": &c.service, "scope": &c.scope}[name]
	if field != nil && *field == "" {
		*field = value
	}
}

// cutToken cuts a token (RFC 9110, 5.6.2) off the front of s.
func cutToken(s string) (token, rest string) {
	for i := range len(s) {
		c := s[i]
		if c <= ' ' || c >= 0x7f || strings.IndexByte(`(),/:;<=>?@[\]{}"`, c) >= 0 {
			return s[:i], s[i:]
		}
	}
	return s, ""
}

// cutValue cuts a parameter's value off the front of s: a quoted string, or, as some
// registries write it, anything up to the next comma or space.
func cutValue(s string) (value, rest string) {
	if !strings.HasPrefix(s, `"`) {
		end := strings.IndexAny(s, ", \t")
		if end < 0 {
			return s, ""
		}
		return s[:end], s[end:]
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '"':
			return b.String(), s[i+1:]
		case s[i] == '\\' && i+1 < len(s):
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String(), ""
}
