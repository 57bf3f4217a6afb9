package standins

import (
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"slices"
)

// form reads a POSTed form that has these fields and no others, each once.
func form(r *http.Request, fields ...string) (map[string]string, error) {
	if r.Method != http.MethodPost {
		return nil, fmt.Errorf("method %s", r.Method)
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/x-www-form-urlencoded" {
		return nil, fmt.Errorf("content type %q", r.Header.Get("Content-Type"))
	}
	if err := r.ParseForm(); err != nil {
		return nil, err
	}
	out := map[string]string{}
	for name, values := range r.PostForm {
		if !slices.Contains(fields, name) || len(values) != 1 {
			return nil, fmt.Errorf("parameter %s is not expected here", name)
		}
		out[name] = values[0]
	}
	for _, name := range fields {
		if out[name] == "" {
			return nil, fmt.Errorf("parameter %s is missing", name)
		}
	}
	return out, nil
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

// oauthError is RFC 6749, section 5.2.
func oauthError(w http.ResponseWriter, status int, code, description string) {
	answer(w, status, map[string]string{"error": code, "error_description": description})
}
