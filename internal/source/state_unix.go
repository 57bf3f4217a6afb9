//go:build unix

package source

import (
	"os"

	"golang.org/x/sys/unix"
)

// doNotWait opens what has become a named pipe at once, which then cannot be read, and not when somebody
// writes to it.
const doNotWait = unix.O_NONBLOCK

func statFile(f *os.File) (fileState, error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return fileState{}, err
	}
	var s unix.Stat_t
	var failed error
	if err := raw.Control(func(fd uintptr) {
		failed = unix.Fstat(int(fd), &s) // #nosec G115 -- a descriptor
	}); err != nil {
		return fileState{}, err
	}
	return fileState{
		device: uint64(s.Dev), inode: s.Ino, size: s.Size, // #nosec G115 -- only compared
		modified: s.Mtim.Nano(), changed: s.Ctim.Nano(),
	}, failed
}
