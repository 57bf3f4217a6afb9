package usererror

import (
	"fmt"
	"strings"
)

// sourceFailure is what this package sees of the errors of internal/source.
type sourceFailure interface {
	failure
	// Facts returns what to write instead, or what is meant by a path that is not there; and, of such
	// a path, where it starts if it is relative, and the folders that could be seen.
	Facts() (named, folder string, seen []string)
}

// sourceKinds are the kinds of internal/source whose code has not the best remedy; %s is what
// the failure names.
var sourceKinds = map[string]explanation{
	"several-lines":           {InvalidSource, "Name one image."},
	"source-with-credentials": {InvalidSource, "Write HOST/REPOSITORY:TAG, and the credentials in registry-auth."},
	"unknown-scheme":          {InvalidSource, "Write docker://%s for an image in a registry."},
	"file-scheme":             {InvalidSource, "Leave that out: %s."},
	"dir-form":                {InvalidSource, writeLayout},
	"file-or-reference": {InvalidSource,
		"Write ./%s for the file, or docker://%s for an image in a registry."},
	"neither-host-nor-path": {InvalidSource, "Write docker://%s for an image on Docker Hub, docker-daemon:%s for one " +
		"in the Docker engine, or ./%s for a path."},
	"invalid-engine-name": {InvalidSource,
		"Write docker-daemon:NAME:TAG, as `docker images` lists it, or an id."},
	"no-path":      {InvalidSource, "Write the path behind the colon."},
	"no-reference": {InvalidSource, "Write the reference behind the prefix."},
	"host-unset":   {InvalidSource, "Look at the variable that should hold the host: it may be unset."},
	"digest-unset": {InvalidSource,
		"Look at the step whose output should be the digest: it may not have run, or not have pushed."},
	"tag-unset": {InvalidSource, "Look at the variable that should hold the tag: it may be unset."},
	"line-unset": {InvalidSource, "Look at the variable that should fill it: it may be unset, and a platform must " +
		"not get lost. Remove the line if nothing belongs there."},
	"star-in-reference": {InvalidSource, "Write a line for each image."},
	"star-in-bare-name": {InvalidSource, "Write ./%s for files."},
	"not-a-file":        {InvalidSource, "Name an archive or a folder."},
	"invalid-platform":  {InvalidInput, "Write platforms as in linux/amd64,linux/arm64."},

	"not-there":    {SourceNotFound, ""}, // see whereToLook
	"not-mounted":  {SourceNotFound, ""}, // likewise
	"no-such-name": {SourceNotFound, "Use one of the names that the message lists."},
	"not-in-registry": {SourceNotFound, "Check the reference, and that the step that pushes it has run. Registries " +
		"also say so of what the credentials may not see."},
	"not-in-engine": {SourceNotFound, "Check the name and tag; docker/build-push-action leaves its image in the " +
		"engine only with `load: true`."},
	"name-ambiguous":   {SourceAmbiguous, "Append the full name of one of them."},
	"several-archives": {SourceAmbiguous, "Name one of them, or all with * to merge their platforms into one image."},
	"platform-twice":   {SourceAmbiguous, "Build each platform once, or leave one of the lines out."},
	"platform-lost": {PlatformNotFound, "Look at the job that builds it, and at how its part gets here: `platforms` " +
		"names what the parts together must have."},

	"not-an-image":   {SourceUnsupported, "Only images can be merged: publish anything else in a step of its own."},
	"index-in-index": {SourceUnsupported, "Name the inner index, or publish this image alone."},
	"dir-folder":     {SourceUnsupported, writeLayout},
	"schema-1": {SourceUnsupported, "Pull the image with a current Docker and push it again, or build it anew: that " +
		"writes the current form."},
	"window-too-large": {SourceUnsupported,
		"Compress with zstd at level 19 or below and without --ultra and --long, or with gzip."},
	"other-compression": {SourceUnsupported, "Compress it with gzip or zstd, or not at all."},

	"source-mismatch": {DigestMismatch,
		"Build the image again, and check that the step that wrote it had finished."},
	"ambiguous-json": {SourceBroken, "Build the image again with a current tool, and look at who wrote it: builders " +
		"do not write such documents."},
	"names-disagree": {SourceBroken,
		"Write the archive again, with one tool and into a file that is not there yet."},
	"link-outside":   {SourceBroken, "Copy the folder with `cp -rL`, which follows links, and name the copy."},
	"is-layout":      {SourceBroken, "Write oci-archive: in front of the path."},
	"is-docker-save": {SourceBroken, "Write docker-archive: in front of the path."},
	"no-index-json":  {SourceBroken, "Check that the build had `outputs: type=oci` and has finished."},
	"no-layout":      {SourceBroken, "Check that the build had `outputs: type=oci,tar=false` and has finished."},
	"no-manifest-json": {SourceBroken, "Check that the step that wrote it has finished. Archives of Docker before " +
		"1.10 have none: save the image again."},
	"no-image-in-archive": {SourceBroken, "Check that the build had `outputs: type=oci` or `type=docker`, and has " +
		"finished. A folder's tar must hold the layout at its top."},
	"partly-in-engine": {SourceBroken, "Pull or build it again."},
	"export-refused":   {SourceBroken, "Look at the engine's log."},
	"export-incomplete": {SourceBroken, "Pull, load or build the image in the engine again, for every platform that " +
		"is published: `docker image ls --tree` shows what it holds."},

	"engine-silent": {EngineUnreachable, "Start the engine. A container action gets /var/run/docker.sock from the " +
		"runner; in a container of your own mount it: -v /var/run/docker.sock:/var/run/docker.sock. An engine " +
		"elsewhere goes into DOCKER_HOST."},
	"engine-denied": {EngineUnreachable, "Give the user that runs this access to the engine's socket (group docker)."},
	"engine-inside": {EngineUnreachable, "Start the engine. Inside a container action localhost is the container " +
		"itself: use the engine's socket (mount /var/run/docker.sock and leave DOCKER_HOST out), or the label of a " +
		"service."},
	"engine-elsewhere": {EngineUnreachable, "Check DOCKER_HOST, DOCKER_TLS_VERIFY and DOCKER_CERT_PATH, and that " +
		"the engine runs; or leave them out and mount /var/run/docker.sock."},
	"engine-unnamed": {EngineUnreachable, "Write unix:///PATH or tcp://HOST:PORT."},
	"engine-scheme": {EngineUnreachable,
		"Forward the engine's socket, and name it in DOCKER_HOST as unix:///PATH or tcp://HOST:PORT."},
	"engine-certificates": {EngineUnreachable, "Check DOCKER_CERT_PATH: the folder must hold ca.pem, cert.pem and " +
		"key.pem, and the action must see it."},
	"engine-wants-tls": {EngineUnreachable, "Set DOCKER_TLS_VERIFY=1 and DOCKER_CERT_PATH."},
	"engine-fails":     {EngineUnreachable, "Look at the engine's log."},
	"not-an-engine":    {EngineUnreachable, "Check DOCKER_HOST."},

	"disk-nearly-full": {DiskFull, "Free space, or point `TMPDIR` at a larger disk. An archive that is not " +
		"compressed as a whole is read in place."},
}

// writeLayout is the remedy for a folder in the form of Skopeo's and Podman's dir:.
const writeLayout = "Write an OCI image layout: `skopeo copy --all dir:%s oci:LAYOUT`, or `podman push IMAGE " +
	"oci-archive:IMAGE.tar`."

// sourceRemedy returns the remedy for a failure, of which remedy is what its kind knows.
func sourceRemedy(f sourceFailure, remedy string) string {
	named, folder, seen := f.Facts()
	switch _, _, kind := f.Failure(); kind {
	case "not-there":
		return whereToLook(named, folder, seen)
	case "not-mounted":
		return whereToLook(named, folder, nil) + " In a container only what is mounted into it can be seen."
	}
	return strings.ReplaceAll(remedy, "%s", named)
}

// whereToLook returns the remedy for a path that is not there.
func whereToLook(near, folder string, seen []string) string {
	remedy := "Check the path, and that what writes it has run."
	if near != "" {
		remedy = fmt.Sprintf("There is %s: is that meant? ", near) + remedy
	}
	switch len(seen) {
	case 0:
		if folder != "" {
			remedy += fmt.Sprintf(" Relative paths start at %s.", folder)
		}
	case 1:
		remedy += fmt.Sprintf(" This container sees only the workspace (%s): write the image into it, such as "+
			"${{ github.workspace }}/image.tar.", seen[0])
	default:
		remedy += fmt.Sprintf(" A container action sees only the workspace (%s) and the runner's temporary folder "+
			"(%s): write the image into one of them, such as ${{ runner.temp }}.", seen[0], seen[1])
	}
	return remedy
}
