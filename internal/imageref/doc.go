// Package imageref names images the way people write them: docker.io,
// ghcr.io/me/app:1. The grammar is go-containerregistry's; what is ours is
// how hosts are spelled and which references may be a destination.
package imageref
