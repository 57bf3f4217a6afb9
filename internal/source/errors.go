package source

import (
	"errors"
	"fmt"
	"syscall"
)

// ErrorKind says what is wrong.
type ErrorKind string

// What is wrong with the text of a source, or of platforms.
const (
	Invalid            ErrorKind = "invalid-source"
	SeveralLines       ErrorKind = "several-lines" // where one image is named
	WithCredentials    ErrorKind = "source-with-credentials"
	UnknownScheme      ErrorKind = "unknown-scheme"
	FileScheme         ErrorKind = "file-scheme"           // file://
	DirForm            ErrorKind = "dir-form"              // dir:, of Skopeo and Podman
	FileOrReference    ErrorKind = "file-or-reference"     // it could be either
	NeitherHostNorPath ErrorKind = "neither-host-nor-path" // it could be an image on Docker Hub
	InvalidEngineName  ErrorKind = "invalid-engine-name"
	NoPath             ErrorKind = "no-path"      // behind the prefix
	NoReference        ErrorKind = "no-reference" // behind the prefix
	HostUnset          ErrorKind = "host-unset"
	DigestUnset        ErrorKind = "digest-unset"
	TagUnset           ErrorKind = "tag-unset"
	LineUnset          ErrorKind = "line-unset" // of several
	StarInReference    ErrorKind = "star-in-reference"
	StarInBareName     ErrorKind = "star-in-bare-name"
	InvalidPlatform    ErrorKind = "invalid-platform"
)

// What is wrong with where it points.
const (
	NotFound         ErrorKind = "source-not-found"
	NotThere         ErrorKind = "not-there"           // the path
	NotMounted       ErrorKind = "not-mounted"         // as above, seen from a container of somebody's own
	NotAFile         ErrorKind = "not-a-file"          // and no folder: a device, for instance
	NoSuchName       ErrorKind = "no-such-name"        // in the archive or layout
	NotInRegistry    ErrorKind = "not-in-registry"     // or not for these credentials
	NotInEngine      ErrorKind = "not-in-engine"       // the image
	Ambiguous        ErrorKind = "source-ambiguous"    // several images, none picked
	NameAmbiguous    ErrorKind = "name-ambiguous"      // several images called so
	SeveralArchives  ErrorKind = "several-archives"    // in the folder
	PlatformTwice    ErrorKind = "platform-twice"      // in the sources of one index
	PlatformNotFound ErrorKind = "platform-not-found"  // in the image
	PlatformLost     ErrorKind = "platform-lost"       // in none of the sources of one index
	NotAnImage       ErrorKind = "not-an-image"        // in an index to merge
	IndexInIndex     ErrorKind = "index-in-index"      // as above
	DirFolder        ErrorKind = "dir-folder"          // as Skopeo's and Podman's dir: writes it
	ManifestTooLarge ErrorKind = "manifest-too-large"  // above 4 MiB
	Unsupported      ErrorKind = "source-unsupported"  // of a kind that is not known
	Schema1          ErrorKind = "schema-1"            // Docker's
	WindowTooLarge   ErrorKind = "window-too-large"    // of zstd
	OtherCompression ErrorKind = "other-compression"   // bzip2 or xz
	Broken           ErrorKind = "source-broken"       // its own bytes
	Mismatch         ErrorKind = "source-mismatch"     // bytes do not have their digest
	AmbiguousJSON    ErrorKind = "ambiguous-json"      // two programs read two things
	NamesDisagree    ErrorKind = "names-disagree"      // manifest.json's and index.json's
	LinkOutside      ErrorKind = "link-outside"        // of the folder
	IsLayout         ErrorKind = "is-layout"           // where docker-archive: stands in front
	IsDockerSave     ErrorKind = "is-docker-save"      // where oci: or oci-archive: stands in front
	NoIndexJSON      ErrorKind = "no-index-json"       // in an archive
	NoLayout         ErrorKind = "no-layout"           // in a folder
	NoManifestJSON   ErrorKind = "no-manifest-json"    // where docker save writes one
	NoImageInArchive ErrorKind = "no-image-in-archive" // neither index.json nor manifest.json
	PartlyInEngine   ErrorKind = "partly-in-engine"    // the engine has the image, and not all of it
	ExportRefused    ErrorKind = "export-refused"      // by the engine
	ExportIncomplete ErrorKind = "export-incomplete"   // the engine does not hold all of the image
)

// What is wrong with the engine and this machine.
const (
	EngineSilent       ErrorKind = "engine-silent"       // at its usual socket
	EngineDenied       ErrorKind = "engine-denied"       // to this user
	EngineInside       ErrorKind = "engine-inside"       // sought on the loopback of our own container
	EngineElsewhere    ErrorKind = "engine-elsewhere"    // on another machine
	EngineUnnamed      ErrorKind = "engine-unnamed"      // DOCKER_HOST names none
	EngineScheme       ErrorKind = "engine-scheme"       // of DOCKER_HOST
	EngineCertificates ErrorKind = "engine-certificates" // those to reach it with
	EngineWantsTLS     ErrorKind = "engine-wants-tls"
	EngineFails        ErrorKind = "engine-fails"     // by an answer of which there is no more to say
	NotAnEngine        ErrorKind = "not-an-engine"    // something else answers
	DiskFull           ErrorKind = "disk-full"        // the temporary folder
	DiskNearlyFull     ErrorKind = "disk-nearly-full" // as above: the rest is left to others
	TemporaryFolder    ErrorKind = "temporary-folder" // it cannot be used
)

// Error says what is wrong with a source, or with where it is read from and kept.
type Error struct {
	Kind   ErrorKind
	Host   string   // of the registry that was asked, as people write it; "" if none was
	What   string   // what is wrong
	Named  string   // what to write instead, or what is meant by a path that is not there; "" for nothing
	Folder string   // where a path that is not there starts, if it is relative
	Seen   []string // the folders that could be seen where a path is not there: see Paths
	Err    error    // the cause; nil if What says it
}

// Error returns what is wrong, and the cause.
func (e *Error) Error() string {
	if e.Err == nil {
		return e.What
	}
	return e.What + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Failure returns what usererror makes a message and a code of.
func (e *Error) Failure() (host, what, kind string) { return e.Host, e.What, string(e.Kind) }

// Facts returns what usererror's remedy tells beside that.
func (e *Error) Facts() (named, folder string, seen []string) { return e.Named, e.Folder, e.Seen }

// wrong returns an error that has no cause but itself.
func wrong(kind ErrorKind, format string, args ...any) error {
	return &Error{Kind: kind, What: fmt.Sprintf(format, args...)}
}

// broken returns an error of the source's own bytes.
func broken(cause error, format string, args ...any) error {
	return &Error{Kind: Broken, What: fmt.Sprintf(format, args...), Err: cause}
}

// mismatch returns the error of bytes that do not have their digest.
func mismatch(what, want, got string) error {
	return &Error{Kind: Mismatch, What: fmt.Sprintf("%s has the digest %s, not %s", what, got, want)}
}

func isKind(err error, kind ErrorKind) bool {
	var e *Error
	return errors.As(err, &e) && e.Kind == kind
}

// withSource names the source in front of what is wrong with it. What a registry says names itself.
func withSource(source string, err error) error {
	var f interface {
		Failure() (host, what, kind string)
	}
	if errors.As(err, &f) {
		if host, _, _ := f.Failure(); host == "" {
			return fmt.Errorf("%s: %w", source, err)
		}
	}
	return err
}

// temporary returns the error of a temporary file that cannot be written.
func temporary(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return &Error{Kind: DiskFull, What: "the temporary folder is full", Err: err}
	}
	return &Error{Kind: TemporaryFolder, What: "the temporary folder cannot be used", Err: err}
}
