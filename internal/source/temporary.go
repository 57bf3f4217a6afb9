package source

import (
	"io"
	"os"
)

// unnamed returns a temporary file without a name: it is gone when it is closed,
// however the process ends.
func unnamed(folder string) (*os.File, error) {
	f, err := os.CreateTemp(folder, "multi-registry-push-")
	if err != nil {
		return nil, temporary(err)
	}
	if err := os.Remove(f.Name()); err != nil {
		_ = f.Close()
		return nil, temporary(err)
	}
	return f, nil
}

// isTemporary reports whether an error is the temporary folder's, not the source's.
func isTemporary(err error) bool {
	return isKind(err, DiskFull) || isKind(err, DiskNearlyFull) || isKind(err, TemporaryFolder)
}

// freeSpace returns how many bytes are free where f is, and how many there are in all; ok
// is false where that cannot be known.
type freeSpace func(f *os.File) (free, total int64, ok bool)

const (
	// maxReserve bounds what is left free of the temporary folder, a tenth of it, in bytes.
	maxReserve = 256 << 20
	// checkSpaceEvery is how many bytes are written between two looks at what is free.
	checkSpaceEvery = 16 << 20
)

// reserveWriter writes to a temporary file as long as enough is free behind it.
type reserveWriter struct {
	file *os.File
	free freeSpace
	left int64 // bytes to write before the next look
}

// keepReserve returns a writer to f. Its errors are those of the temporary folder.
func keepReserve(f *os.File, free freeSpace) io.Writer {
	return &reserveWriter{file: f, free: free, left: checkSpaceEvery}
}

func (w *reserveWriter) Write(p []byte) (int, error) {
	if w.left -= int64(len(p)); w.left < 0 {
		w.left = checkSpaceEvery
		free, total, ok := w.free(w.file)
		if reserve := min(total/10, maxReserve); ok && total > 0 && free < reserve {
			return 0, wrong(DiskNearlyFull,
				"less than %d MiB are left free in the temporary folder while the source is written there", reserve>>20)
		}
	}
	n, err := w.file.Write(p)
	if err != nil {
		err = temporary(err)
	}
	return n, err
}
