package blobcache

import "syscall"

// Magic numbers of statfs(2).
const (
	tmpfsMagic = 0x01021994
	ramfsMagic = 0x858458f6
)

// folder tells how many bytes are free in a folder and whether they are memory.
func folder(dir string) (free int64, memory, ok bool) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0, false, false
	}
	kind := uint32(st.Type) // #nosec G115 -- a magic number, whose width differs between architectures
	// #nosec G115 -- no disk has 2⁶³ bytes
	return int64(st.Bavail) * int64(st.Bsize), kind == tmpfsMagic || kind == ramfsMagic, true
}
