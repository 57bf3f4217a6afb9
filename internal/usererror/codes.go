package usererror

// The codes. Each has an entry in catalogue.
const (
	InvalidInput       Code = "invalid-input"
	UnknownInput       Code = "unknown-input"
	InvalidTag         Code = "invalid-tag"
	InvalidAuth        Code = "invalid-registry-auth"
	InvalidSource      Code = "invalid-source"
	SourceNotFound     Code = "source-not-found"
	SourceBroken       Code = "source-broken"
	SourceAmbiguous    Code = "source-ambiguous"
	SourceUnsupported  Code = "source-unsupported"
	PlatformNotFound   Code = "platform-not-found"
	EngineUnreachable  Code = "engine-unreachable"
	MissingCredentials Code = "missing-credentials"
	WrongCredentials   Code = "wrong-credentials" // #nosec G101 -- the name of an error
	NoPushPermission   Code = "no-push-permission"
	NoPullPermission   Code = "no-pull-permission"
	RepositoryMissing  Code = "repository-missing"
	CannotCreate       Code = "cannot-create-repository"
	OIDCMissing        Code = "oidc-missing"
	OIDCRefused        Code = "oidc-refused"
	Unreachable        Code = "registry-unreachable"
	TooManyFiles       Code = "too-many-open-files"
	UnknownHost        Code = "unknown-host"
	TLSMismatch        Code = "tls-mismatch"
	UnknownAuthority   Code = "unknown-authority"
	CertificateInvalid Code = "certificate-invalid"
	NotARegistry       Code = "not-a-registry"
	RegistryRefused    Code = "registry-refused"
	RegistryGaveUp     Code = "registry-gave-up"
	RateLimited        Code = "rate-limited"
	DigestMismatch     Code = "digest-mismatch"
	ManifestTooLarge   Code = "manifest-too-large"
	UnsafeRedirect     Code = "unsafe-redirect"
	ImmutableTag       Code = "immutable-tag"
	TagRefused         Code = "tag-refused"
	MediaTypeRefused   Code = "media-type-refused"
	NotPutBack         Code = "tag-not-put-back"
	VerifyMismatch     Code = "verify-mismatch"
	AtomicHeldBack     Code = "atomic-held-back"
	NotPublic          Code = "not-public"
	DiskFull           Code = "disk-full"
	TemporaryFolder    Code = "temporary-folder"
	Cancelled          Code = "cancelled"
	Internal           Code = "internal-error"
	Unended            Code = "ended-without-a-word"
)

// Entry explains one code.
type Entry struct {
	Code   Code
	Cause  string
	Remedy string
}

// catalogue returns every code with its cause and remedy, in the order in which
// a run can meet them.
//
//nolint:funlen // a table
func catalogue() []Entry {
	return []Entry{
		{InvalidInput, "An input has a value that is not allowed.", "Correct the input that the message names."},
		{UnknownInput, "An input, flag or key is not known; most likely a typo.",
			"Use the name that the message suggests."},
		{InvalidTag, "A line of `tags`, or of an image's tags, is not a reference that can be published to.",
			"Write `[REGISTRY/]REPOSITORY[:TAG]`, repository in lower case, no digest."},
		{InvalidAuth, "`registry-auth` is not a YAML list of registry items.",
			"Correct the line that the message names."},
		{InvalidSource, "`source` has none of the forms that name an image.",
			"Use `docker://REF`, `oci:PATH`, `oci-archive:PATH`, `docker-archive:PATH`, `docker-daemon:REF`, or a " +
				"path that starts with `./`, `../` or `/`."},
		{SourceNotFound, "There is no image where `source` points.", "Check the path or reference."},
		{SourceBroken, "The source is damaged: truncated, not what it claims to be, or a blob does not match its " +
			"digest.", "Build the image again, and check that the step that wrote it had finished."},
		{SourceAmbiguous, "The source holds several images and none was picked.",
			"Append `:TAG` to the path to pick one, or `:DIGEST` where they have no names."},
		{SourceUnsupported, "The source is of a kind that cannot be published, such as Docker schema 1.",
			"Build or convert the image with a current tool."},
		{PlatformNotFound, "A platform that was asked for is not in the image.",
			"Use one of the platforms that the message lists."},
		{EngineUnreachable, "The Docker engine does not answer.",
			"Start the engine, or mount its socket: `/var/run/docker.sock`."},
		{MissingCredentials, "A registry has no credentials, and `missing-credentials` is `fail`, its item has " +
			"`required: true`, or `verify` was refused without a login.",
			"Give the registry an item in `registry-auth`, or set what its item takes from a secret or a variable. " +
				"Pull requests from forks have neither: leave `missing-credentials` at `skip` for them."},
		{WrongCredentials, "The registry refused user name and password, or the token.",
			"Check the user name, and whether the token has expired."},
		{NoPushPermission, "The credentials are right, but may not push to this repository.",
			"Give the account or token write access to the repository."},
		{NoPullPermission, "The credentials may not read this repository.",
			"Give the account or token read access, or check the repository's name."},
		{RepositoryMissing, "The repository does not exist and the registry does not create it on push.",
			"Create it in the registry first; on Amazon ECR, `create-repository: true` does that."},
		{CannotCreate, "The repository could not be created.", "Allow the action that the message names."},
		{OIDCMissing, "A keyless login needs the job's OIDC token, and the job has none.",
			"Add `permissions: id-token: write` to the job."},
		{OIDCRefused, "The provider refused the job's OIDC token.",
			"Check audience, subject and role in the provider's trust policy."},
		{Unreachable, "The registry does not answer.", "Check the host and port, and whether the registry is up."},
		{TooManyFiles, "This process, or this machine, may open no more files and connections.",
			"Raise the limit: `ulimit -n 1024` before the command, `--ulimit nofile=1024:1024` for a container."},
		{UnknownHost, "The registry's host name does not resolve.", "Check the spelling of the host."},
		{TLSMismatch, "The registry speaks plain HTTP where TLS is needed.",
			"Give the registry a certificate, or set `insecure: true` in its item."},
		{UnknownAuthority, "The registry's certificate is signed by an authority that is not trusted.",
			"Put the authority's certificate into a file and name it in `SSL_CERT_FILE`."},
		{CertificateInvalid, "The registry's certificate has expired or is for another host.",
			"Check the host's spelling; the registry needs a certificate that is valid for it."},
		{NotARegistry, "What answers at the host is no registry: a web page, or a login page.",
			"Check the host: many registries have a name or a port of their own, apart from their web pages."},
		{RegistryRefused, "The registry refused a request.", "Read the registry's answer in the message."},
		{RegistryGaveUp, "The registry kept failing until the time for retries was used up.",
			"Run it again: what has arrived is not sent again."},
		{Internal, "This program has a mistake.",
			"Report it with the log at https://github.com/multi-registry-push/multi-registry-push/issues."},
		{Unended, "The process was killed before it could say how the run ended: no memory, no time, or by hand.",
			"Look at the end of the log; run it again, with more time or memory if these ran out. What has " +
				"arrived is not sent again."},
		{RateLimited, "The registry limits requests, and did not let us through in time.",
			"Wait, or use an account with a higher limit."},
		{DigestMismatch, "Bytes do not have the digest they were announced with.",
			"The source or a proxy on the way changes bytes: build again, or look at the proxy."},
		{ManifestTooLarge, "A manifest is larger than 4 MiB, which registries need not accept.",
			"Publish an image with fewer layers, platforms or annotations."},
		{UnsafeRedirect, "A registry redirected to an address that it must not name.",
			"Look at the registry's configuration."},
		{ImmutableTag, "A tag that must not move already points at another digest.",
			"Use a new version; an immutable tag is never moved."},
		{TagRefused, "The registry refused to write the tag.", "Read the registry's answer in the message."},
		{MediaTypeRefused, "The registry does not take manifests of that media type.",
			"An index or an attestation: build with `provenance: false` and `sbom: false`, or publish one of the " +
				"`platforms`. Docker's media types: build with `oci-mediatypes=true`, or let the registry take them " +
				"(zot: `http.compat: [docker2s2]`). OCI's: build with `oci-mediatypes=false`."},
		{NotPutBack, "A tag that had moved could not be put back.",
			"Set the tag by hand to the digest that the message names, or remove it where the message says " +
				"`nothing`: it was new."},
		{VerifyMismatch, "A tag serves another digest than the one just written.",
			"Look for another job that writes the same tag; run again."},
		{AtomicHeldBack, "`atomic` is on and another registry failed: this one's tags were not moved, or were put " +
			"back.",
			"Mend the registry that failed and run again."},
		{NotPublic, "A repository with `public: true` cannot be pulled from without a login.",
			"Change its visibility in the registry's settings, then run again: nothing has to be sent twice."},
		{DiskFull, "The temporary folder is full.", "Free space, or point `TMPDIR` at a larger disk."},
		{TemporaryFolder, "The temporary folder is not there, or cannot be written to.",
			"Point `TMPDIR` at a folder that can be written to."},
		{Cancelled, "The job was cancelled.", "Run it again: what has arrived is not sent again."},
	}
}
