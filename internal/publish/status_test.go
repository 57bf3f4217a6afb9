package publish

import (
	"testing"

	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

// TestStatus holds the contract's rules for the status of a registry.
func TestStatus(t *testing.T) {
	refs := func(statuses ...Status) (out []ReferenceResult) {
		for _, s := range statuses {
			out = append(out, ReferenceResult{Reference: "r/a:1", Status: s})
		}
		return out
	}
	broken, optional := Failure{Message: "broken"}, Failure{Message: "broken", Optional: true}
	for name, c := range map[string]struct {
		registry  RegistryResult
		want      Status
		tolerated bool
	}{
		"written":                       {registry: RegistryResult{References: refs(Pushed, Pushed)}, want: Pushed},
		"one written":                   {registry: RegistryResult{References: refs(Pushed, Unchanged)}, want: Pushed},
		"all there":                     {registry: RegistryResult{References: refs(Unchanged, Unchanged)}, want: Unchanged},
		"all there, push refused":       {registry: RegistryResult{References: refs(Unchanged), Failures: []Failure{broken}}, want: Unchanged},
		"all there, some left out":      {registry: RegistryResult{References: refs(Unchanged, Skipped)}, want: Unchanged},
		"all there, but a child":        {registry: RegistryResult{References: refs(Unchanged), Wrote: true}, want: Pushed},
		"a child, then a failure":       {registry: RegistryResult{References: refs(Unchanged), Wrote: true, Failures: []Failure{broken}}, want: Failed},
		"all there, but a signature":    {registry: RegistryResult{References: refs(Unchanged), Failures: []Failure{broken}, Referrers: ReferrerCounts{Failed: 1}}, want: Failed},
		"all there, but not public":     {registry: RegistryResult{References: refs(Unchanged), Failures: []Failure{{Code: usererror.NotPublic}}}, want: Failed},
		"in part":                       {registry: RegistryResult{References: refs(Pushed, Failed)}, want: Failed},
		"not put back":                  {registry: RegistryResult{References: refs(HeldBack, Failed)}, want: Failed},
		"an error":                      {registry: RegistryResult{References: refs(Pushed), Failures: []Failure{broken}}, want: Failed},
		"an error, none asked":          {registry: RegistryResult{References: refs(Skipped), Failures: []Failure{broken}}, want: Failed},
		"an error, not required":        {registry: RegistryResult{Optional: true, References: refs(Failed), Failures: []Failure{broken}}, want: Failed, tolerated: true},
		"of an optional account":        {registry: RegistryResult{References: refs(Failed), Failures: []Failure{optional}}, want: Failed, tolerated: true},
		"one optional, one not":         {registry: RegistryResult{References: refs(Failed), Failures: []Failure{optional, broken}}, want: Failed},
		"held back":                     {registry: RegistryResult{References: refs(HeldBack, HeldBack)}, want: HeldBack},
		"held back, one there already":  {registry: RegistryResult{References: refs(HeldBack, Unchanged)}, want: HeldBack},
		"held back after some blobs":    {registry: RegistryResult{References: refs(HeldBack), Wrote: true}, want: HeldBack},
		"skipped":                       {registry: RegistryResult{Skip: "username is empty", References: refs(Skipped)}, want: Skipped},
		"skipped, no reference":         {registry: RegistryResult{Skip: "an empty part"}, want: Skipped},
		"no tag matches":                {registry: RegistryResult{References: refs(Skipped, Skipped)}, want: Skipped},
		"one tag matches":               {registry: RegistryResult{References: refs(Skipped, Pushed)}, want: Pushed},
		"planned":                       {registry: RegistryResult{References: refs(Planned, Unchanged)}, want: Planned},
		"planned, only blobs":           {registry: RegistryResult{References: refs(Unchanged), Blobs: BlobCounts{Missing: 2}}, want: Planned},
		"planned, only a repository":    {registry: RegistryResult{References: refs(Unchanged), ToCreate: []string{"r/a"}}, want: Planned},
		"would fail":                    {registry: RegistryResult{References: refs(Planned, Failed)}, want: Failed},
		"nobody knows":                  {registry: RegistryResult{References: refs("", Pushed)}, want: Failed},
		"repaired under the same tag":   {registry: RegistryResult{References: refs(Unchanged), Wrote: true, Repaired: 1}, want: Pushed},
		"moved, others held back at 2x": {registry: RegistryResult{References: refs(Pushed, HeldBack)}, want: HeldBack},
	} {
		if got := c.registry.Status(); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
		if got := c.registry.Tolerated(); got != c.tolerated {
			t.Errorf("%s: tolerated is %v", name, got)
		}
	}
}

func TestServes(t *testing.T) {
	result := Result{Images: []ImageResult{{Digest: "sha256:new"}, {}}}
	for name, c := range map[string]struct {
		ref  ReferenceResult
		want bool
	}{
		"pushed":             {ReferenceResult{Status: Pushed, Now: "sha256:new"}, true},
		"unchanged":          {ReferenceResult{Status: Unchanged, Now: "sha256:new"}, true},
		"taken, not served":  {ReferenceResult{Status: Pushed, Now: "sha256:old", Unseen: true}, false},
		"put back":           {ReferenceResult{Status: HeldBack, Now: "sha256:old"}, false},
		"not put back":       {ReferenceResult{Status: Failed, Now: "sha256:new"}, true},
		"failed":             {ReferenceResult{Status: Failed, Now: "sha256:old"}, false},
		"failed, unknown":    {ReferenceResult{Status: Failed}, false},
		"of a broken source": {ReferenceResult{Image: 1, Status: Failed}, false},
		"of no image":        {ReferenceResult{Image: 2, Status: Failed, Now: "sha256:new"}, false},
	} {
		if got := result.Serves(c.ref); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
