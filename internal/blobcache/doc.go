// Package blobcache reads a blob of a remote source once and lets any number of
// destinations read it again: while it is still arriving, each at its own pace,
// from any offset.
//
// Bytes go from the source through one hash into unlinked temporary files (small
// blobs into memory) and from there to the readers. The last bytes of a blob are
// shown to nobody before its digest has been found right.
//
// The space is bounded. As long as less than half of it is in use, a blob is kept
// until its last lease is released, so that an upload that has to start again
// costs the source nothing. Above that, what all readers have read is freed, and
// the source is read no faster than the fastest reader. When even that is not
// enough, the slowest reader is evicted: what only it needs is freed where it is in
// somebody's way, it reads that from the source by itself, and holds nobody back.
package blobcache
