package publish

import (
	"regexp"

	"github.com/multi-registry-push/multi-registry-push/internal/config"
	"github.com/multi-registry-push/multi-registry-push/internal/credentials"
	"github.com/multi-registry-push/multi-registry-push/internal/imageref"
	"github.com/multi-registry-push/multi-registry-push/internal/source"
)

// Plan is where images go. Making it sends nothing.
type Plan struct {
	Images     []Image
	Registries []RegistryPlan // by host, in the order in which tags first names them, skipped ones included
	Skipped    []config.Skip  // lines and items that name no destination
	Policy     Policy
}

// Image is what was asked for; what it is, an ImageResult tells.
type Image struct {
	Name      string // empty unless the input images was used
	Line      int    // in images, from 1
	Parts     []source.Spec
	Merge     bool // several lines, or a glob
	Platforms []string
}

// RegistryPlan is one host of a plan.
type RegistryPlan struct {
	Host         string
	Repositories []RepositoryPlan // enabled ones; none: the registry is skipped
	Left         []Left           // references that are left out, by reason
}

// RepositoryPlan is one repository that gets images.
type RepositoryPlan struct {
	Repository imageref.Repository
	Credential credentials.Credential
	Required   Required
	Public     bool // public: true, an anonymous pull is proved
	Targets    []Target
}

// Target is what fails alone: one image in one repository.
type Target struct {
	Image int      // index of Plan.Images
	Tags  []string // none: by digest
}

// Required is an item's key of that name.
type Required string

// The values of Required.
const (
	RequiredDefault Required = ""      // failures fail the step, missing credentials skip
	RequiredAlways  Required = "true"  // missing credentials are an error, too
	RequiredNever   Required = "false" // failures are warnings
)

// Left are references that are left out for one reason.
type Left struct {
	Image      int
	References []string
	Reason     string
	Why        SkipKind
	Required   Required
}

// Policy is what the inputs say of every image.
type Policy struct {
	Atomic           bool
	DryRun           bool
	PushByDigest     bool
	ImmutableTags    *regexp.Regexp // anchored; nil for none
	SkipExisting     bool
	Referrers        bool
	Thorough         bool
	FailOnMissing    bool
	CreateRepository bool
	CreateImmutable  bool
	Concurrency      int  // blobs in flight to one registry; 0 is auto
	Untrusted        bool // a pull request from a fork or by Dependabot
}
