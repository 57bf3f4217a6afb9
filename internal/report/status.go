package report

import (
	"slices"

	"github.com/multi-registry-push/multi-registry-push/internal/publish"
)

// Status is the outcome of a registry or of a reference, as `results` has it.
type Status = publish.Status

// The statuses of the contract.
const (
	Pushed    = publish.Pushed
	Unchanged = publish.Unchanged
	Planned   = publish.Planned
	Skipped   = publish.Skipped
	HeldBack  = publish.HeldBack
	Failed    = publish.Failed
)

// ExitStatus returns 130 when the run was cancelled, 1 when it, a source or a registry
// that is required failed, else 0. On a command line it is 1, too, where nothing was
// published because tags was empty or registries were skipped: a workflow looks at the
// outputs, a person or a script at the status.
func ExitStatus(r publish.Result, commandLine bool) int {
	switch {
	case r.Cancelled:
		return 130
	case len(runFailures(r)) > 0, slices.ContainsFunc(r.Registries, fails), commandLine && leftOut(r):
		return 1
	}
	return 0
}

// fails reports whether a registry fails the step.
func fails(g publish.RegistryResult) bool { return g.Status() == Failed && !g.Tolerated() }

// leftOut reports whether nothing was published, for other reasons than that the user
// wanted it so.
func leftOut(r publish.Result) bool {
	unwanted := len(r.Skipped) > 0 || len(r.Registries) == 0
	for _, g := range r.Registries {
		switch g.Status() {
		case Pushed, Unchanged, Planned:
			return false
		case Skipped:
			by := g.LeftOutBy()
			unwanted = unwanted || by != publish.SkipTagsMatching && by != publish.SkipExisting
		case HeldBack, Failed:
		}
	}
	return unwanted
}

// partly reports whether some reference serves what was to be published.
func partly(r publish.Result) bool {
	return slices.ContainsFunc(r.Registries, func(g publish.RegistryResult) bool { return servesAny(r, g) })
}

func servesAny(r publish.Result, g publish.RegistryResult) bool {
	return slices.ContainsFunc(g.References, r.Serves)
}

// runFailures returns what failed outside of any registry: inputs and sources.
func runFailures(r publish.Result) []publish.Failure {
	all := slices.Clone(r.Failures)
	for _, image := range r.Images {
		if image.Failure != nil {
			all = append(all, *image.Failure)
		}
	}
	return all
}
