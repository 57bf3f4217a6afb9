//go:build linux || darwin || freebsd

package source

import (
	"os"

	"golang.org/x/sys/unix"
)

func diskSpace(f *os.File) (free, total int64, ok bool) {
	var s unix.Statfs_t
	if unix.Fstatfs(int(f.Fd()), &s) != nil { // #nosec G115 -- a descriptor
		return 0, 0, false
	}
	size := int64(s.Bsize)
	return int64(s.Bavail) * size, int64(s.Blocks) * size, true // #nosec G115 -- disks are smaller
}
