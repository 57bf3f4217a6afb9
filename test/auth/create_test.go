package auth

import (
	"maps"
	"strings"
	"sync"
	"testing"

	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
	"github.com/multi-registry-push/multi-registry-push/test/standins"
)

// newECR returns an internet with one ECR registry and the run of a workflow that
// publishes two tags there, to acme/there, which exists, and acme/new, which does not.
func newECR(t *testing.T, may ...string) (*standins.Internet, *standins.GitHub, *standins.ECR, run) {
	n := standins.NewInternet(t)
	g := standins.NewGitHub(t, n)
	a := standins.NewAWS(t, n, g)
	a.STS(stsHost, "sts.amazonaws.com")
	a.RoleMay = may
	e := a.Registry(ecrHost, ecrAPI, "123456789012", "eu-west-1")
	e.Add("acme/there", standins.Repository{})
	return n, g, e, run{
		tags:  ecrHost + "/acme/there:1\n" + ecrHost + "/acme/new:1",
		items: items("registry: "+ecrHost, "aws-role: "+a.Role), oidc: true,
	}
}

func TestProgramCreatesWhatIsMissing(t *testing.T) {
	mutability := map[bool]string{false: "MUTABLE", true: "IMMUTABLE"}
	for expression, immutable := range map[string]bool{"": false, `v?\d+`: false, ".*": true} {
		t.Run("immutable-tags "+expression, func(t *testing.T) {
			n, g, e, r := newECR(t, standins.Everything()...)
			r.env = []string{"INPUT_CREATE-REPOSITORY=true", "INPUT_IMMUTABLE-TAGS=" + expression}
			o := r.do(t, n, g)
			check(t, o, expect{"pushed", "created the repository " + ecrHost + "/acme/new", "", "OIDC, AWS role"}, ecrHost)
			want := map[string]standins.Repository{"acme/there": {}, "acme/new": {ScanOnPush: true, Immutable: immutable, Mutability: mutability[immutable]}}
			if got := e.Repositories(); !maps.Equal(got, want) {
				t.Errorf("there are %+v, want %+v", got, want)
			}
			if got := o.registry(t).Images; len(got) != 2 {
				t.Errorf("images: %v", got)
			}
			// Again: there is nothing left to do, whatever the tags may do.
			check(t, r.do(t, n, g), expect{status: "unchanged"}, ecrHost)
		})
	}
}

func TestProgramDoesNotCreateUnasked(t *testing.T) {
	n, g, e, r := newECR(t, standins.Everything()...)
	o := r.do(t, n, g)
	check(t, o, expect{"failed", "create-repository: true", usererror.RepositoryMissing, ""}, ecrHost)
	if !strings.Contains(o.log, "ecr:CreateRepository") {
		t.Errorf("the IAM action is not named:\n%s", o.log)
	}
	if got := o.registry(t).Images; len(got) != 1 || len(e.Repositories()) != 1 {
		t.Errorf("images %v, repositories %v", got, e.Repositories())
	}
}

func TestProgramMayNotCreate(t *testing.T) {
	n, g, e, r := newECR(t, "ecr:GetAuthorizationToken", "ecr:PutImage")
	r.env = []string{"INPUT_CREATE-REPOSITORY=true"}
	o := r.do(t, n, g)
	check(t, o, expect{"failed", "Allow ecr:CreateRepository", usererror.CannotCreate, ""}, ecrHost)
	if len(e.Repositories()) != 1 {
		t.Errorf("created: %v", e.Repositories())
	}
}

func TestProgramCreatesNothingInADryRun(t *testing.T) {
	n, g, e, r := newECR(t, standins.Everything()...)
	r.env = []string{"INPUT_CREATE-REPOSITORY=true", "INPUT_DRY-RUN=true"}
	check(t, r.do(t, n, g), expect{status: "planned"}, ecrHost)
	if len(e.Repositories()) != 1 {
		t.Errorf("created: %v", e.Repositories())
	}
}

// Two jobs publish to the same new repository at the same time.
func TestProgramsRaceToCreate(t *testing.T) {
	n, g, e, r := newECR(t, standins.Everything()...)
	r.env = []string{"INPUT_CREATE-REPOSITORY=true"}
	outcomes := make([]outcome, 3)
	var wg sync.WaitGroup
	for i := range outcomes {
		wg.Go(func() { outcomes[i] = r.do(t, n, g) })
	}
	wg.Wait()
	created := 0
	for _, o := range outcomes {
		if o.status != 0 {
			t.Errorf("exit status %d:\n%s", o.status, o.log)
		}
		created += strings.Count(o.log, "created the repository")
	}
	if created != 1 || len(e.Repositories()) != 2 {
		t.Errorf("created %d times: %v", created, e.Repositories())
	}
}

func TestProgramCreatesInECRPublic(t *testing.T) {
	n := standins.NewInternet(t)
	g := standins.NewGitHub(t, n)
	a := standins.NewAWS(t, n, g)
	a.STS("sts.us-east-1.amazonaws.com", "sts.amazonaws.com")
	e := a.PublicRegistry("acme")
	r := run{
		tags: "public.ecr.aws/acme/tools/app:1", items: items("registry: public.ecr.aws", "aws-role: "+a.Role),
		oidc: true, env: []string{"INPUT_CREATE-REPOSITORY=true"},
	}
	check(t, r.do(t, n, g), expect{status: "pushed"}, "public.ecr.aws")
	if _, ok := e.Repositories()["tools/app"]; !ok {
		t.Errorf("there are %v", e.Repositories())
	}
}
