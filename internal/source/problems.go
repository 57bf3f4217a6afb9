package source

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

// broken returns a problem with the source's own bytes.
func broken(cause error, format string, args ...any) error {
	return usererror.New(usererror.SourceBroken, "", fmt.Sprintf(format, args...), "", cause)
}

// unsupported returns a problem with an image that cannot be published as it is.
func unsupported(remedy, format string, args ...any) error {
	return usererror.New(usererror.SourceUnsupported, "", fmt.Sprintf(format, args...), remedy, nil)
}

// mismatch returns the problem of bytes that do not have their digest.
func mismatch(what, want, got string) error {
	return usererror.New(usererror.DigestMismatch, "",
		fmt.Sprintf("%s has the digest %s, not %s", what, got, want),
		"Build the image again, and check that the step that wrote it had finished.", nil)
}

// withSource names the source in front of what is wrong with it. What a registry says names itself.
func withSource(source string, err error) error {
	var f interface {
		Failure() (host, what, kind string)
	}
	if errors.As(err, &f) {
		if host, _, _ := f.Failure(); host == "" {
			return fmt.Errorf("%s: %w", source, err)
		}
	}
	return err
}

// temporary returns the problem of a temporary file that cannot be written.
func temporary(err error) error {
	if usererror.Is(err, usererror.DiskFull) {
		return err
	}
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return usererror.New(usererror.DiskFull, "", "the temporary folder is full", "", err)
	}
	return usererror.New(usererror.TemporaryFolder, "", "the temporary folder cannot be used", "", err)
}
