package source

import "os"

// fileState tells whether a file may have been changed: its identity, size and times. It is
// zero for what nobody else can change.
type fileState struct {
	device, inode     uint64
	size              int64
	modified, changed int64 // nanoseconds
}

// stateOf returns the state of the file that c reads from.
func stateOf(c content) (fileState, error) {
	if s, ok := c.(interface{ state() (fileState, error) }); ok {
		return s.state()
	}
	return fileState{}, nil
}

// diskFile is an open file in a folder.
type diskFile struct{ *os.File }

func (f diskFile) state() (fileState, error) { return statFile(f.File) }
