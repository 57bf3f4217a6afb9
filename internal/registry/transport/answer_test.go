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

// TestErrorBodiesOfOddShape: a field of another type than the specification's costs no code, no
// word is lost, and a code is one in small letters, too.
func TestErrorBodiesOfOddShape(t *testing.T) {
	for body, want := range map[string]Error{
		`{"errors":[{"code":"DENIED","message":"no"}]}`:                 {Code: "DENIED", Message: "no"},
		`{"errors":[{"code":"DENIED","message":{"why":"no"}}]}`:         {Code: "DENIED", Message: `{"why":"no"}`},
		`{"errors":[{"code":"DENIED","message":"no"}],"message":["x"]}`: {Code: "DENIED", Message: "no"},
		`{"errors":{"code":"DENIED","message":"no"}}`:                   {Code: "DENIED", Message: "no"},
		` [{"code":"DENIED","message":null}]`:                           {Code: "DENIED"},
		`{"errors":[{"code":"denied","message":"no"}]}`:                 {Code: "DENIED", Message: "no"},
		`{"errors":[{"code":"ImageTagAlreadyExistsException"}]}`:        {Code: "ImageTagAlreadyExistsException"},
		`{"errors":[{"code":404,"status":404,"message":"gone"}]}`:       {Message: "gone"},
		`{"errors":["no"]}`:            {Message: `{"errors":["no"]}`},
		`{"errors":[],"message":"no"}`: {Message: "no"},
		`{"details":{"why":"no"}}`:     {Message: `{"why":"no"}`},
		`{"error":"invalid_scope","error_description":"scope is not ours"}`: {Message: "invalid_scope scope is not ours"},
		`{"error":{"code":403,"message":"no"}}`:                             {Message: `{"code":403,"message":"no"}`},
		`{"reason":"no"}`:                                                   {Message: `{"reason":"no"}`},
		`"no"`:                                                              {Message: `"no"`},
		`{}`:                                                                {}, `null`: {}, `[]`: {}, ``: {}, `<html>no</html>`: {}, `no`: {Message: "no"},
	} {
		said := parseErrorBody([]byte(body), func(s string) string { return s })
		code := ""
		if len(said.codes) > 0 {
			code = said.codes[0]
		}
		if code != want.Code || said.message != want.Message {
			t.Errorf("%s: code %q, message %q", body, code, said.message)
		}
	}
}
