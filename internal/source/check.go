package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Check finds out what Open would refuse of a local source, so that it can be said
// together with what is wrong with other inputs, before anything is sent: the path, the
// form, the image that was picked, its manifests, the platforms. It asks no registry
// and no engine, and does not unpack a compressed archive.
func Check(ctx context.Context, spec Spec, o Options) error {
	o.Budget = nil // what is looked at now is closed again
	if err := checkPlatforms(o.Platforms); err != nil {
		return err
	}
	if spec.Kind == Registry || spec.Kind == DockerDaemon {
		return nil
	}
	path, _, info, err := find(spec, o.Paths)
	if err != nil {
		return withSource("source "+short(spec.Text), err)
	}
	if mustUnpack(path, info) {
		return nil
	}
	i, err := Open(ctx, spec, o)
	if err != nil {
		return err
	}
	return i.Close()
}

// CheckMerged does for the parts of a merged image what Check does for one, and, where all
// parts can be looked at, for the index that they make.
func CheckMerged(ctx context.Context, specs []Spec, o Options) error {
	o.Budget = nil
	if err := checkPlatforms(o.Platforms); err != nil {
		return err
	}
	here := o
	here.Platforms = nil
	var errs []error
	all := true
	for _, spec := range specs {
		if spec.Kind == Registry || spec.Kind == DockerDaemon {
			all = false
			continue
		}
		path, _, info, err := find(spec, o.Paths)
		if err == nil && mustUnpack(path, info) {
			all = false
			continue
		}
		if err := Check(ctx, spec, here); err != nil {
			errs = append(errs, withSource(fmt.Sprintf("line %d", spec.Line), err))
		}
	}
	if len(errs) > 0 || !all {
		return errors.Join(errs...)
	}
	i, err := OpenMerged(ctx, specs, o)
	if err != nil {
		return err
	}
	return i.Close()
}

// mustUnpack reports whether what a path names is an archive that is compressed as a whole.
func mustUnpack(path string, info os.FileInfo) bool {
	if !info.IsDir() {
		return info.Mode().IsRegular() && isCompressed(path)
	}
	f, err := openFolder(path)
	if err != nil {
		return false // Open says why
	}
	defer func() { _ = f.close() }()
	archives, err := f.archives()
	if err != nil || len(archives) != 1 {
		return false
	}
	layout, err := holds(f, "index.json")
	return err == nil && !layout && isCompressed(filepath.Join(path, archives[0]))
}

func isCompressed(path string) bool {
	f, err := os.Open(path) // #nosec G304 -- the user's source
	if err != nil {
		return false // Open says why
	}
	defer func() { _ = f.Close() }()
	head := make([]byte, 6)
	n, err := f.ReadAt(head, 0)
	return (err == nil || errors.Is(err, io.EOF)) && sniff(head[:n]) != plain
}
