package transport

import "testing"

// TestSaidOnce: what a registry repeats in its code or message stands there once.
func TestSaidOnce(t *testing.T) {
	for want, e := range map[string]Error{
		"401 UNAUTHORIZED: authentication required": {Status: 401, Code: "UNAUTHORIZED", Message: "authentication required"},
		"401 unauthorized":                          {Status: 401, Code: "UNAUTHORIZED", Message: "unauthorized"},
		"405 Method not allowed.":                   {Status: 405, Message: "Method not allowed."},
		"404 NOT_FOUND: artifact gone":              {Status: 404, Code: "NOT_FOUND", Message: "artifact gone"},
		"403 Forbidden: DENIED: no rights":          {Status: 403, Code: "DENIED", Message: "no rights"},
		"403 Forbidden":                             {Status: 403},
		"599":                                       {Status: 599},
		"599 BROKEN":                                {Status: 599, Code: "BROKEN"},
	} {
		if got := e.Said(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// TestBareRefusals: only a 401 in the usual words says nothing of its own.
func TestBareRefusals(t *testing.T) {
	for want, answers := range map[bool][]Error{
		true: {
			{Status: 401},
			{Status: 401, Code: "UNAUTHORIZED", Message: "authentication required"},
			{Status: 401, Code: "UNAUTHORIZED", Message: "Invalid username or password."},
			{Status: 401, Message: "incorrect username or password", TokenService: true},
		},
		false: {
			{Status: 403, Code: "UNAUTHORIZED", Message: "authentication required"},
			{Status: 400, TokenService: true},
			{Status: 401, Code: "UNAUTHORIZED", Message: "could not find robot with username: acme+robot"},
			{Status: 401, Code: "TOOMANYREQUESTS", Message: "authentication required"},
			{Status: 401, Elsewhere: true},
			{Status: 401, Named: "registry.example"},
		},
	} {
		for _, e := range answers {
			if e.Bare() != want {
				t.Errorf("%q: %t", e.Said(), !want)
			}
		}
	}
}
