//go:build !unix

package source

import "os"

// doNotWait is nothing where folders hold no named pipes.
const doNotWait = 0

func statFile(f *os.File) (fileState, error) {
	info, err := f.Stat()
	if err != nil {
		return fileState{}, err
	}
	return fileState{size: info.Size(), modified: info.ModTime().UnixNano()}, nil
}
