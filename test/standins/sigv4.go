package standins

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// signed is what a request's signature claims.
type signed struct {
	key, region, service string
	at                   time.Time
}

// verifySigV4 checks a request as AWS does: the signature over method, path, query,
// headers and body, its scope and its age. secret returns the secret key and session token
// of an access key.
//
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
func verifySigV4(r *http.Request, body []byte, now time.Time, secret func(key string) (secret, session string, ok bool)) (signed, error) {
	fields, ok := strings.CutPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 ")
	if !ok {
		return signed{}, fault{http.StatusBadRequest, "MissingAuthenticationTokenException", "Missing Authentication Token"}
	}
	claim := map[string]string{}
	for field := range strings.SplitSeq(fields, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(field), "=")
		claim[name] = value
	}
	scope := strings.Split(claim["Credential"], "/")
	at, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	if len(scope) != 5 || scope[4] != "aws4_request" || err != nil || scope[1] != at.Format("20060102") {
		return signed{}, fault{http.StatusBadRequest, "IncompleteSignatureException", "the signature's parts do not fit together"}
	}
	s := signed{key: scope[0], region: scope[2], service: scope[3], at: at}
	key, session, known := secret(s.key)
	if !known || r.Header.Get("X-Amz-Security-Token") != session {
		return s, fault{http.StatusBadRequest, "UnrecognizedClientException", "The security token included in the request is invalid."}
	}
	headers := strings.Split(claim["SignedHeaders"], ";")
	for _, must := range []string{"host", "x-amz-date"} {
		if !slices.Contains(headers, must) {
			return s, fault{http.StatusBadRequest, "IncompleteSignatureException", must + " is not signed"}
		}
	}
	if session != "" && !slices.Contains(headers, "x-amz-security-token") {
		return s, fault{http.StatusBadRequest, "IncompleteSignatureException", "the session token is not signed"}
	}
	var canonical strings.Builder
	for _, name := range headers {
		value := strings.Join(r.Header.Values(name), ",")
		switch name {
		case "host":
			value = r.Host
		case "content-length":
			value = fmt.Sprint(r.ContentLength)
		}
		fmt.Fprintf(&canonical, "%s:%s\n", name, strings.Join(strings.Fields(value), " "))
	}
	request := strings.Join([]string{r.Method, (&url.URL{Path: r.URL.Path}).EscapedPath(), r.URL.Query().Encode(), canonical.String(), claim["SignedHeaders"], sum(body)}, "\n")
	toSign := strings.Join([]string{"AWS4-HMAC-SHA256", r.Header.Get("X-Amz-Date"), strings.Join(scope[1:], "/"), sum([]byte(request))}, "\n")
	signing := []byte("AWS4" + key)
	for _, part := range scope[1:] {
		signing = mac(signing, part)
	}
	if !hmac.Equal([]byte(hex.EncodeToString(mac(signing, toSign))), []byte(claim["Signature"])) {
		return s, fault{http.StatusBadRequest, "InvalidSignatureException", "The request signature we calculated does not match the signature you provided."}
	}
	if age := now.Sub(at); age > 15*time.Minute || age < -15*time.Minute {
		return s, fault{http.StatusBadRequest, "InvalidSignatureException", "Signature expired"}
	}
	return s, nil
}

func sum(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}

func mac(key []byte, s string) []byte {
	h := hmac.New(sha256.New, key)
	_, _ = io.WriteString(h, s)
	return h.Sum(nil)
}

// fault is an error of an AWS service.
type fault struct {
	status        int
	code, message string
}

func (f fault) Error() string { return f.code + ": " + f.message }
