package credentials

import (
	"regexp"
	"strings"
	"sync"

	"github.com/multi-registry-push/multi-registry-push/internal/imageref"
)

const awsRegion = `([a-z0-9]+(?:-[a-z0-9]+)+)`

// Who runs a host decides which credentials may go there. The patterns match whole
// host names, so that a host that only looks like a provider's gets nothing. They are
// compiled when a host may need them: that takes longer than all else here.
var (
	// https://docs.aws.amazon.com/general/latest/gr/ecr.html
	ecrIPv4 = compiled(`^([0-9]{12})\.dkr\.ecr(-fips)?\.` + awsRegion + `\.amazonaws\.(?:com|com\.cn|eu)$`)
	// https://docs.aws.amazon.com/AmazonECR/latest/userguide/ecr-requests.html
	ecrDualStack = compiled(`^([0-9]{12})\.dkr-ecr(-fips)?\.` + awsRegion +
		`\.on\.(?:aws|amazonwebservices\.com\.cn|amazonwebservices\.eu)$`)
	labels = compiled(`^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9-]+)*$`)
)

// compiled returns a function that compiles pattern when it is first called.
func compiled(pattern string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(pattern) })
}

// ecrHost is what an ECR registry's host name tells.
type ecrHost struct {
	accountID string // 12 digits; empty for ECR Public and for hosts that are ECR only by ecr: true
	region    string // empty if the name does not tell
	public    bool
	fips      bool
	dualStack bool
}

// parseECR reads the host name of an ECR registry.
func parseECR(host string) (ecrHost, bool) {
	switch host {
	case "public.ecr.aws":
		return ecrHost{public: true, region: "us-east-1"}, true
	case "ecr-public.aws.com":
		return ecrHost{public: true, region: "us-east-1", dualStack: true}, true
	}
	if !strings.Contains(host, ".dkr") {
		return ecrHost{}, false
	}
	if m := ecrIPv4().FindStringSubmatch(host); m != nil {
		return ecrHost{accountID: m[1], fips: m[2] != "", region: m[3]}, true
	}
	if m := ecrDualStack().FindStringSubmatch(host); m != nil {
		return ecrHost{accountID: m[1], fips: m[2] != "", region: m[3], dualStack: true}, true
	}
	return ecrHost{}, false
}

// china reports whether the registry is in the partition aws-cn, whose services
// have names of their own.
func (h ecrHost) china() bool { return strings.HasPrefix(h.region, "cn-") }

// isACR reports whether host is an Azure container registry.
func isACR(host string) bool { return below(host, ".azurecr.io") }

// isDockerHub reports whether host takes Docker Hub's accounts: Docker Hub itself, and the
// registry of Docker's hardened images.
func isDockerHub(host string) bool { return host == imageref.DockerHub || host == "dhi.io" }

// isKnownProvider reports whether host is that of a provider with hosts of its own. Quay and
// JFrog run on hosts of any name, and take all others: add each provider whose hosts are known
// here, or the job's token could be sent to it as one that is for Quay or JFrog.
func isKnownProvider(host string) bool {
	_, ecr := parseECR(host)
	return ecr || isDockerHub(host) || isACR(host) || isGoogle(host) || host == "ghcr.io"
}

// isGoogle reports whether host is Artifact Registry or Container Registry.
func isGoogle(host string) bool {
	return host == "gcr.io" || below(host, ".pkg.dev") || below(host, ".gcr.io")
}

// below reports whether host is a host name that ends in suffix.
func below(host, suffix string) bool {
	name, ok := strings.CutSuffix(host, suffix)
	return ok && labels().MatchString(name)
}
