package standins

import (
	"crypto/rand"
	"net/http"
	"time"
)

// Instance is the metadata service of an EC2 instance (version 2, with its session
// tokens) whose role may do everything.
func (a *AWS) Instance() http.Handler {
	token := rand.Text()
	mux := http.NewServeMux()
	mux.HandleFunc("PUT /latest/api/token", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", r.Header.Get("X-Aws-Ec2-Metadata-Token-Ttl-Seconds"))
		_, _ = w.Write([]byte(token))
	})
	mux.HandleFunc("GET /latest/meta-data/iam/security-credentials/{role...}", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Aws-Ec2-Metadata-Token") != token {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		if r.PathValue("role") == "" {
			_, _ = w.Write([]byte("builder"))
			return
		}
		id, secret := "ASIA"+rand.Text()[:16], "imds/"+rand.Text()
		end := time.Now().Add(6 * time.Hour).UTC().Truncate(time.Second)
		a.mu.Lock()
		a.principals[id] = principal{secret: secret, session: "imds-session-" + id, ends: end, may: Everything()}
		a.mu.Unlock()
		answer(w, http.StatusOK, map[string]string{
			"Code": "Success", "Type": "AWS-HMAC", "AccessKeyId": id, "SecretAccessKey": secret,
			"Token": "imds-session-" + id, "Expiration": end.Format(time.RFC3339), "LastUpdated": time.Now().UTC().Format(time.RFC3339),
		})
	})
	return mux
}
