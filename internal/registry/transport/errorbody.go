package transport

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
)

// errorBody is an answer's body that is JSON. Registries and proxies before them write numbers,
// lists or objects where the specification has texts: of such a body the rest is read all the same.
type errorBody struct {
	Errors      errorList `json:"errors"`
	Message     anyText   `json:"message"`
	Details     anyText   `json:"details"`
	Error       anyText   `json:"error"`
	Description anyText   `json:"error_description"`
}

// UnmarshalJSON reads an object, or the list of errors alone.
func (b *errorBody) UnmarshalJSON(raw []byte) error {
	if bytes.HasPrefix(bytes.TrimSpace(raw), []byte("[")) {
		return json.Unmarshal(raw, &b.Errors)
	}
	type plain errorBody
	return json.Unmarshal(raw, (*plain)(b))
}

// errorList is a list of errors, or one.
type errorList []struct {
	Code    code            `json:"code"`
	Message anyText         `json:"message"`
	Detail  json.RawMessage `json:"detail"`
}

// UnmarshalJSON reads a list, or one error; anything else is none.
func (l *errorList) UnmarshalJSON(raw []byte) error {
	type plain errorList
	switch raw = bytes.TrimSpace(raw); {
	case bytes.HasPrefix(raw, []byte("[")):
		if json.Unmarshal(raw, (*plain)(l)) != nil {
			*l = nil // of something else
		}
	case bytes.HasPrefix(raw, []byte("{")):
		return l.UnmarshalJSON(bytes.Join([][]byte{[]byte("["), raw, []byte("]")}, nil))
	}
	return nil
}

// said returns what the errors of a body say, cut to what people are shown.
func (l errorList) said(body []byte, cut func(string) string) said {
	found := said{digests: regexp.MustCompile(digestPattern).FindAllString(string(body), -1)}
	var all []string
	for i, e := range l {
		found.codes = append(found.codes, cut(string(e.Code)))
		text := string(e.Message)
		if i > 0 && e.Code != "" {
			text = string(e.Code) + ": " + text
		}
		// A detail that is a plain text often says what the message does not.
		var detail string
		if json.Unmarshal(e.Detail, &detail) == nil && detail != "" && detail != string(e.Message) {
			text += " (" + detail + ")"
		}
		if text = strings.TrimSpace(text); text != "" {
			all = append(all, text)
		}
	}
	found.message = cut(strings.Join(all, "; "))
	return found
}

// anyText is a text, or whatever stands in its place as it is written.
type anyText string

// UnmarshalJSON reads any value.
func (t *anyText) UnmarshalJSON(raw []byte) error {
	var text string
	if json.Unmarshal(raw, &text) != nil {
		text = string(raw)
	}
	*t = anyText(text)
	return nil
}

// code is an error's code in capitals, as the specification has them, "" for what is no text.
type code string

var smallCode = regexp.MustCompile(`^[a-z_]+$`)

// UnmarshalJSON reads any value.
func (c *code) UnmarshalJSON(raw []byte) error {
	var text string
	if json.Unmarshal(raw, &text) == nil && smallCode.MatchString(text) {
		text = strings.ToUpper(text)
	}
	*c = code(text)
	return nil
}
