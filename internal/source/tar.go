package source

import (
	"archive/tar"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
)

const (
	// maxEntries bounds the memory of an index. docker save writes three entries a
	// layer, and layers are at most some hundred.
	maxEntries = 200_000
	// maxNames bounds the memory that names take, in bytes.
	maxNames = 16 << 20
	// maxLinks bounds how many links lead to a file.
	maxLinks = 8
)

// archive is a tar that is read in place: one pass over its headers, then reads at
// offsets. Nothing is ever extracted.
type archive struct {
	at      io.ReaderAt
	entries map[string]entry
	twice   map[string]bool // names that come more than once
	names   int             // bytes that names take
}

// entry is where a file's bytes are, or which other name stands for it.
type entry struct {
	offset, size int64
	link         string
}

// indexTar reads the headers of the tar in at, which is size bytes long, and seeks over
// what lies between: its time grows with the number of files, not with their size. Where
// a name comes twice the last one counts, as for tar(1).
func indexTar(at io.ReaderAt, size int64) (*archive, error) {
	a := &archive{at: at, entries: map[string]entry{}, twice: map[string]bool{}}
	section := io.NewSectionReader(at, 0, size)
	r := tar.NewReader(section)
	for n := 0; ; n++ {
		h, err := r.Next()
		switch {
		case errors.Is(err, io.EOF):
			if n == 0 {
				return nil, broken(nil, "the archive is empty")
			}
			return a, nil
		case err != nil && n == 0:
			return nil, broken(err, "this is not a tar archive")
		case errors.Is(err, io.ErrUnexpectedEOF):
			return nil, truncated(size)
		case err != nil:
			return nil, broken(err, "the archive cannot be read behind its entry %d", n)
		case n == maxEntries:
			return nil, broken(nil, "the archive has more than %d entries", maxEntries)
		}
		offset, err := section.Seek(0, io.SeekCurrent)
		if err != nil {
			return nil, err
		}
		if err := a.add(h, offset, size); err != nil {
			return nil, err
		}
	}
}

// add takes an entry into the index.
func (a *archive) add(h *tar.Header, offset, size int64) error {
	if a.names += len(h.Name) + len(h.Linkname); a.names > maxNames {
		return broken(nil, "the names in the archive take more than %d MiB", maxNames>>20)
	}
	if sparse(h) {
		return broken(nil, "the archive holds %q as a sparse file", short(h.Name))
	}
	var e entry
	switch h.Typeflag {
	case tar.TypeReg:
		if h.Size < 0 || h.Size > size-offset {
			return truncated(size)
		}
		e = entry{offset: offset, size: h.Size}
	case tar.TypeSymlink, tar.TypeLink:
		if h.Linkname == "" {
			return broken(nil, "the archive holds a link to nothing, %q", short(h.Name))
		}
		e = entry{link: h.Linkname}
		if h.Typeflag == tar.TypeLink { // from the archive's root, not from beside the link
			e.link = "\x00" + h.Linkname
		}
	default: // folders, devices and the like hold no bytes
		_, err := cleanName(h.Name)
		return err
	}
	name, err := cleanName(h.Name)
	if err != nil {
		return err
	}
	if _, there := a.entries[name]; there {
		a.twice[name] = true
	}
	a.entries[name] = e
	return nil
}

// sparse reports whether a file's bytes do not stand in the archive one behind the
// other: GNU's old header, or its PAX records.
func sparse(h *tar.Header) bool {
	if h.Typeflag == tar.TypeGNUSparse {
		return true
	}
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return true
		}
	}
	return false
}

func truncated(size int64) error {
	return broken(nil, "the archive ends in the middle of a file, after %d bytes: it is truncated", size)
}

func (a *archive) lookup(name string) (file, error) {
	e, err := a.resolve(name)
	if err != nil {
		return file{}, err
	}
	return file{size: e.size, open: func() (content, error) {
		return section{io.NewSectionReader(a.at, e.offset, e.size), a.at}, nil
	}}, nil
}

// resolve follows links, but only to files in the archive.
func (a *archive) resolve(name string) (entry, error) {
	for range maxLinks {
		e, ok := a.entries[name]
		if !ok {
			return entry{}, fs.ErrNotExist
		}
		if e.link == "" {
			return e, nil
		}
		target, hard := strings.CutPrefix(e.link, "\x00")
		if !hard && !strings.HasPrefix(target, "/") {
			target = path.Join(path.Dir(name), target)
		}
		target, err := cleanName(target)
		if err != nil {
			return entry{}, broken(nil, "%s is a link that leads out of the archive, to %q", short(name),
				short(e.link))
		}
		name = target
	}
	return entry{}, broken(nil, "%s is a link to a link to a link, without end", short(name))
}

func (a *archive) close() error {
	if c, ok := a.at.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// section is an open file in an archive; there is nothing to close.
type section struct {
	*io.SectionReader
	of io.ReaderAt
}

func (s section) state() (fileState, error) {
	if f, ok := s.of.(*os.File); ok {
		return statFile(f)
	}
	return fileState{}, nil
}

func (section) Close() error { return nil }
