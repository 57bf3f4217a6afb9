// Package source turns what a workflow calls its image (a reference, an OCI
// layout or archive, a docker archive, an image in the engine) into one thing:
// a content graph whose blobs can be read from any offset.
//
// # What stays as it is
//
// Manifests, configs and compressed layers are never rewritten: their digest is the
// source's. There are three exceptions, all of them reproducible:
//
//   - A subset of an index's platforms is a new index. It lists the kept descriptors as
//     they were written; its own keys are sorted. With all platforms kept, nothing changes.
//     An engine that holds only some platforms of an image gives such a subset, too.
//   - Plain layers in docker archives and in the engine's classic store are compressed, to
//     the same bytes on every machine: blocks of 1 MiB, deflate level 6, one gzip member
//     (see pack). A golden digest in the tests pins them.
//   - Such an image gets a manifest as docker push writes it: Docker schema 2, the config
//     unchanged; OCI where a layer is compressed with zstd, which schema 2 has no type for.
//
// # What is read when
//
// Open reads manifests, and of the engine only what it says of the image. Layers are read
// when somebody asks for them; compression, and the engine's one export, begin then.
// Archives are read in place and never extracted; only a compressed archive, and an
// export of containerd's store, go to a temporary file without a name, as large as what
// they hold. Compressed layers go to such files, too.
//
// # Archives that do not behave
//
// A name that leads out of an archive, an absolute one, or a sparse file anywhere in it
// refuses the whole archive. Links are followed within the archive only. Of two files of
// the same name the last counts, as for tar(1), but index.json and manifest.json must not
// come twice. Sizes, counts, depths and names are bounded (see the constants).
package source
