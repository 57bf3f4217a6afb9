package usererror

import (
	"net"
	"strings"
	"time"
)

// registryKinds are the kinds of internal/registry.
var registryKinds = map[string]explanation{
	"refused": {RegistryRefused, ""},
	"read-only": {RegistryRefused,
		"It takes no pushes: it is read-only, or a mirror. Push to the registry behind it."},
	"gave-up":            {RegistryGaveUp, ""},
	"rate-limited":       {RateLimited, ""},
	"unreachable":        {Unreachable, ""},
	"name-server-silent": {Unreachable, "The name server did not answer; run it again."},
	"proxy-refused": {Unreachable, "The proxy that HTTPS_PROXY or HTTP_PROXY names does not let us through: " +
		"check its address, or add the registry to NO_PROXY."},
	"loopback-inside":     {Unreachable, ""}, // names the host: see remedyAt
	"unknown-host":        {UnknownHost, ""},
	"tls-mismatch":        {TLSMismatch, ""},
	"unknown-authority":   {UnknownAuthority, ""},
	"certificate-invalid": {CertificateInvalid, ""},
	"not-a-registry":      {NotARegistry, ""},
	"unsafe-redirect":     {UnsafeRedirect, ""},
	"wrong-credentials":   {WrongCredentials, ""},
	"no-push-permission":  {NoPushPermission, ""},
	"no-pull-permission":  {NoPullPermission, ""},
	"repository-missing":  {RepositoryMissing, ""},
	"digest-mismatch":     {DigestMismatch, ""},
	"manifest-too-large":  {ManifestTooLarge, ""},
	"tag-immutable":       {ImmutableTag, ""},
	"tag-refused":         {TagRefused, ""},
	"no-referrers-list": {RegistryRefused,
		"Where there is no referrers API, the OCI specification keeps this tag for the list of what refers to an " +
			"image. Give what it serves another tag and remove this one, or publish without `referrers`."},
	"media-type-refused": {MediaTypeRefused, ""},
}

// remedyAt returns the remedy for a failure that depends on the host, or on its certificate.
func remedyAt(host, kind string, err error) string {
	switch kind {
	case "loopback-inside":
		name, _, err := net.SplitHostPort(host)
		if err != nil {
			name = host
		}
		return "Inside a container action " + name + " is the container itself: " +
			"reach a service of the job by its label, such as `registry:5000`, with `insecure: true`."
	case "certificate-invalid":
		return outOfDate(err, time.Now())
	case "no-push-permission":
		switch {
		case host == "ghcr.io" || strings.HasPrefix(host, "containers."):
			return "Give the job `permissions: packages: write`; " +
				"a package that another repository created must also grant this repository write access in its " +
				"settings."
		case strings.Contains(host, "amazonaws.") || strings.Contains(host, ".on.aws"):
			return "Allow ecr:InitiateLayerUpload, ecr:UploadLayerPart, ecr:CompleteLayerUpload, " +
				"ecr:BatchCheckLayerAvailability, ecr:BatchGetImage and ecr:PutImage on this repository."
		}
	}
	return ""
}
