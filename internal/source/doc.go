// Package source opens what a workflow calls its image: a reference, an OCI layout or
// archive, what `docker save` wrote, an image in the engine, or several of them that are
// merged into one index. All become an Image: a content graph (package image) whose blobs can
// be read from any offset, by any number of readers.
//
// Parse and ParseAll read the input, Check finds what is wrong with a local source before
// anything is sent, Open and OpenMerged open it. Archives and layouts are read in place.
// What a builder wrote stays byte for byte; only what has no manifest of its own gets one,
// and layers that an engine holds plain are compressed on the way.
//
// Errors name the source, and those of its own are of type *Error.
package source
