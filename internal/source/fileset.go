package source

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
)

// fileSet is a set of files that are read in place: a folder or an archive.
type fileSet interface {
	// lookup returns the file called name, a clean path with slashes. The error of
	// one that is not there is fs.ErrNotExist.
	lookup(name string) (file, error)
	close() error
}

// file is a file of a set. It may be opened any number of times at once.
type file struct {
	size int64
	open func() (content, error)
}

// content is an open file.
type content interface {
	io.ReaderAt
	io.Closer
}

// folder is a file set on disk. Links that lead out of it are refused.
type folder struct{ root *os.Root }

func openFolder(dir string) (folder, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return folder{}, err
	}
	return folder{root}, nil
}

func (f folder) lookup(name string) (file, error) {
	info, err := f.root.Stat(name)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return file{}, fs.ErrNotExist
		}
		if link, ok := f.linkIn(name); ok { // as Bazel's rules write blobs of other targets
			return file{}, &Error{Kind: LinkOutside, What: link + " is a link that leads out of the folder", Err: err}
		}
		return file{}, broken(err, "%s cannot be read", name)
	}
	if !info.Mode().IsRegular() {
		return file{}, broken(nil, "%s is not a regular file", name)
	}
	return file{size: info.Size(), open: func() (content, error) {
		opened, err := f.root.OpenFile(name, os.O_RDONLY|doNotWait, 0)
		if err != nil {
			return nil, err
		}
		return diskFile{opened}, nil
	}}, nil
}

// linkIn returns the first part of a path that is a link.
func (f folder) linkIn(name string) (string, bool) {
	for end := 0; end < len(name); end++ {
		if next := strings.IndexByte(name[end:], '/'); next >= 0 {
			end += next
		} else {
			end = len(name)
		}
		if _, err := f.root.Readlink(name[:end]); err == nil {
			return name[:end], true
		}
	}
	return "", false
}

// archives returns the names of the archives in the folder itself, sorted.
func (f folder) archives() ([]string, error) {
	entries, err := fs.ReadDir(f.root.FS(), ".")
	if err != nil {
		return nil, broken(err, "the folder cannot be read")
	}
	var names []string
	for _, e := range entries {
		if e.Type().IsRegular() && isArchive(e.Name()) {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

func (f folder) close() error { return f.root.Close() }

// readAll reads a file of at most limit bytes into memory.
func readAll(f file, name string, limit int64) ([]byte, error) {
	if f.size > limit {
		return nil, &Error{Kind: ManifestTooLarge, What: name + " is larger than 4 MiB"}
	}
	c, err := f.open()
	if err != nil {
		return nil, broken(err, "%s cannot be read", name)
	}
	defer func() { _ = c.Close() }()
	raw := make([]byte, f.size)
	if _, err := io.ReadFull(io.NewSectionReader(c, 0, f.size), raw); err != nil {
		return nil, broken(err, "%s cannot be read to its end", name)
	}
	return raw, nil
}

// readOnly reads a file that must be there, and in an archive once. missing is the error where it is
// not there.
func readOnly(t fileSet, name string, missing error) ([]byte, error) {
	f, err := t.lookup(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, missing
	}
	if err != nil {
		return nil, err
	}
	if a, ok := t.(*archive); ok && a.twice[name] {
		return nil, broken(nil, "the archive holds %s twice: it could be read in two ways", name)
	}
	return readAll(f, name, maxManifest)
}

// cleanName gives a name inside an archive its one spelling. It fails for names
// that lead out of it.
func cleanName(name string) (string, error) {
	if strings.HasPrefix(name, "/") {
		return "", broken(nil, "the archive names an absolute path, %q", short(name))
	}
	if slices.Contains(strings.Split(name, "/"), "..") {
		return "", broken(nil, "the archive names a path that leads out of it, %q", short(name))
	}
	return path.Clean(name), nil
}
