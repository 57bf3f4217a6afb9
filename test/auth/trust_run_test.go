package auth

import (
	"strings"
	"testing"

	"github.com/multi-registry-push/multi-registry-push/test/standins"
)

// A refused trust keeps its lines in everything that people read: the claims and the rule
// stand below each other in the log, in the annotation and in the summary. A dry run that is
// let in says which subject it tried.
func TestTrustThroughTheProgram(t *testing.T) {
	n := standins.NewInternet(t)
	g := standins.NewGitHub(t, n)
	for _, w := range ways(t, n, g) {
		if !w.keyless {
			continue
		}
		t.Run(w.name, func(t *testing.T) {
			r := w.run(right)
			r.tags, r.oidc = w.host+"/acme/trust:1", true
			r.env = append(r.env, "INPUT_DRY-RUN=true")
			if w.add != nil {
				w.add("acme/trust")
			}
			o := r.do(t, n, g)
			if want := "the job's OIDC token was taken, with the subject " + g.Subject; !strings.Contains(o.log, want) {
				t.Errorf("no %q in the log:\n%s", want, o.log)
			}
			refused := w.run(wrong)
			refused.tags, refused.oidc = r.tags, true
			o = refused.do(t, n, g)
			for _, want := range []string{
				"claims:%0A  iss: ", // the annotation
				"\n  iss: ",         // the log's table, and the summary's block
			} {
				if !strings.Contains(o.all, want) {
					t.Errorf("no %q in:\n%s", want, o.all)
				}
			}
			// The rule names the subject once more wherever the claims do.
			claimed := strings.Count(o.all, "sub: "+g.Subject)
			if all := strings.Count(o.all, g.Subject); claimed < 3 || all < 2*claimed {
				t.Errorf("the subject stands %d times, %d of them as a claim:\n%s", all, claimed, o.all)
			}
			for _, token := range g.Issued() {
				signature := token[strings.LastIndex(token, ".")+1:]
				if strings.Contains(o.all, token) || strings.Contains(o.all, signature) {
					t.Errorf("the job's OIDC token, or its signature, is shown:\n%s", o.all)
				}
			}
		})
	}
}
