//go:build !linux

package blobcache

// folder knows nothing here: the default limit holds.
func folder(string) (free int64, memory, ok bool) { return 0, false, false }
