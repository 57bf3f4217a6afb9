package app

import (
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/multi-registry-push/multi-registry-push/internal/actions"
	"github.com/multi-registry-push/multi-registry-push/internal/config"
	"github.com/multi-registry-push/multi-registry-push/internal/redact"
)

// tellPublic tells the redactor what is public in this run, so that no token of a registry
// has the runner mask it: what the workflow wrote into references, what is known of the
// job, and the words of which inputs, outputs and documents are made.
func tellPublic(redactor *redact.Redactor, runner *actions.Runner, def *config.Definition, set *config.Settings) {
	redactor.Public(runner.Public()...)
	for _, image := range set.Images {
		redactor.Public(image.Source)
		for _, d := range image.Destinations {
			redactor.Public(d.Reference.String())
		}
	}
	for _, in := range def.Inputs {
		redactor.Public(in.Name)
	}
	for _, out := range def.Outputs {
		redactor.Public(out.Name)
	}
	redactor.Public("multi-registry-push", "repositoriesToCreate")
	for _, t := range []types.MediaType{
		types.OCIImageIndex, types.OCIManifestSchema1, types.OCIConfigJSON, types.OCILayer, types.OCILayerZStd,
		types.OCIUncompressedLayer,
		types.DockerManifestList, types.DockerManifestSchema2, types.DockerConfigJSON, types.DockerLayer,
		types.DockerUncompressedLayer,
	} {
		redactor.Public(string(t))
	}
}
