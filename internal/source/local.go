package source

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multi-registry-push/multi-registry-push/internal/suggest"
)

// openLocal opens what is in a file or folder.
func openLocal(ctx context.Context, spec Spec, o Options) (*Image, error) {
	path, pick, info, err := find(spec, o.Paths)
	if err != nil {
		return nil, err
	}
	t, err := openFiles(ctx, path, info, o.TempDir)
	if err != nil {
		return nil, err
	}
	if t, err = onlyArchive(ctx, path, t, o.TempDir); err != nil {
		return nil, err
	}
	i, err := openFilesAs(ctx, spec, t, pick, o)
	if err != nil {
		_ = t.close()
		return nil, err
	}
	i.Reference = spec.Text
	return i, nil
}

// openFilesAs opens the image that pick names, of the form that spec says or, for a
// bare path, that the contents show.
func openFilesAs(ctx context.Context, spec Spec, t fileSet, pick string, o Options) (*Image, error) {
	docker, err := holds(t, "manifest.json")
	if err != nil {
		return nil, err
	}
	oci, err := holds(t, "index.json")
	if err != nil {
		return nil, err
	}
	_, isFolder := t.(folder)
	if docker && oci && !isFolder { // of a folder only the layout counts
		if err := sameImages(ctx, t); err != nil {
			return nil, err
		}
	}
	switch {
	case !oci && isFolder && isDir(t): // it has a manifest.json, too
		return nil, &Error{Kind: DirFolder, Named: short(spec.Path), What: "this is a folder in the form of Skopeo " +
			"and Podman (dir:), which keeps no names and is no OCI image layout"}
	case spec.Kind == DockerArchive && !docker && oci:
		return nil, wrong(IsLayout, "this is an OCI image layout, not what `docker save` writes")
	case spec.Kind == DockerArchive, spec.Kind == BarePath && docker && !isFolder:
		return openDockerArchive(ctx, t, pick, o)
	case spec.Kind != BarePath && !oci && docker:
		return nil, wrong(IsDockerSave, "this is what `docker save` writes, not an OCI image layout")
	case !oci && isFolder:
		return nil, wrong(NoLayout, "there is no index.json in the folder, so it is no OCI image layout")
	case !oci:
		return nil, wrong(NoImageInArchive, "the archive has neither index.json nor manifest.json, so it is neither "+
			"an OCI image layout nor what `docker save` writes")
	}
	return openLayout(ctx, t, pick, o)
}

// openLayout opens an image in an OCI layout or archive.
func openLayout(ctx context.Context, t fileSet, pick string, o Options) (*Image, error) {
	p, err := pickFrom(ctx, t, pick, o)
	if err != nil {
		return nil, err
	}
	return p.open(ctx, o, len(o.Platforms) > 0)
}

// picked is an image in a layout, and all that the layout lists.
type picked struct {
	layout layout
	graph  *graph
	all    []*candidate
	image  v1.Descriptor
}

func pickFrom(ctx context.Context, t fileSet, pick string, o Options) (*picked, error) {
	index, err := openIndex(t)
	if err != nil {
		return nil, err
	}
	p := &picked{layout: layout{t}, all: contents(index)}
	p.graph = newGraph(p.layout, o.Budget)
	if err := markReferrers(ctx, p.graph, p.layout, p.all); err != nil {
		return nil, err
	}
	p.image, err = choose(p.all, pick)
	return p, err
}

// open loads the image. With inPart, what of it is not there is left out.
func (p *picked) open(ctx context.Context, o Options, inPart bool) (*Image, error) {
	i := &Image{close: p.layout.files.close}
	var present func(v1.Descriptor) bool
	if inPart {
		present = p.layout.has
	}
	if err := i.setRoot(ctx, p.graph, p.image, o, present); err != nil {
		return nil, err
	}
	i.referrers = layoutReferrers(p.graph, p.layout, p.all)
	unpublished := i.passedOver
	i.passedOver = func(ctx context.Context) (sum PassedOver, err error) {
		if unpublished != nil {
			sum, err = unpublished(ctx)
		}
		sum.WithoutSubject = withoutSubject(p.all)
		return sum, err
	}
	return i, nil
}

// onlyArchive returns the archive in a folder that holds no layout but one archive, as
// actions/download-artifact leaves it; else t.
func onlyArchive(ctx context.Context, path string, t fileSet, temp string) (fileSet, error) {
	f, ok := t.(folder)
	if !ok {
		return t, nil
	}
	archives, err := f.archives()
	oci := true
	if err == nil {
		oci, err = holds(t, "index.json")
	}
	switch {
	case err != nil:
	case oci || len(archives) == 0:
		return t, nil
	case len(archives) > 1:
		err = wrong(SeveralArchives, "the folder holds no OCI image layout but %d archives: %s", len(archives),
			short(strings.Join(archives, ", ")))
	}
	if err := errors.Join(err, t.close()); err != nil {
		return nil, err
	}
	path = filepath.Join(path, archives[0])
	info, err := os.Stat(path)
	if err != nil {
		return nil, &Error{Kind: NotFound, What: "the file cannot be read", Err: err}
	}
	return openFiles(ctx, path, info, temp)
}

// isDir reports whether a folder is of the form of Skopeo's and Podman's dir: transport
// (containers-transports(5)): it has a file that says so.
func isDir(t fileSet) bool {
	f, err := t.lookup("version")
	if err != nil || f.size > 1024 {
		return false
	}
	raw, err := readAll(f, "version", 1024)
	return err == nil && strings.HasPrefix(string(raw), "Directory Transport Version:")
}

func holds(t fileSet, name string) (bool, error) {
	_, err := t.lookup(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// find takes PATH or PATH:NAME apart. The longest path that is there counts, since both
// parts may hold colons.
func find(spec Spec, paths Paths) (path, pick string, info os.FileInfo, err error) {
	whole := spec.Path
	for end := len(whole); end > 0; end = strings.LastIndexByte(whole[:end], ':') {
		info, err := os.Stat(whole[:end])
		if err != nil {
			if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR) {
				return "", "", nil, &Error{Kind: NotFound, What: "the path cannot be read", Err: err}
			}
			continue
		}
		if end == len(whole) {
			return whole, "", info, nil
		}
		if pick = whole[end+1:]; pick == "" {
			return "", "", nil, wrong(TagUnset, "the tag behind the path is empty")
		}
		return whole[:end], pick, info, nil
	}
	missing := notFound(whole, paths)
	if strings.HasSuffix(spec.Text, whole) {
		missing.What = "the path is not there" // the source's text, which stands in front, names it
	}
	return "", "", nil, missing
}

func notFound(path string, paths Paths) *Error {
	e := &Error{Kind: NotThere, What: fmt.Sprintf("%s is not there", short(path)), Named: short(fileLike(path)),
		Seen: paths.Seen}
	if paths.Contained && len(paths.Seen) == 0 {
		e.Kind = NotMounted
	}
	if !filepath.IsAbs(path) {
		e.Folder, _ = os.Getwd()
	}
	return e
}

// fileLike returns the path of what most likely was meant by one that is not there, empty if
// nothing beside it is called nearly so.
func fileLike(path string) string {
	folder, name := filepath.Split(path)
	entries, err := os.ReadDir(cmp.Or(folder, "."))
	if err != nil {
		return ""
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if near := suggest.Nearest(name, names); near != "" {
		return folder + near
	}
	return ""
}

// openFiles opens a folder or an archive, whatever it holds.
func openFiles(ctx context.Context, path string, info os.FileInfo, temp string) (fileSet, error) {
	switch {
	case info.IsDir():
		t, err := openFolder(path)
		if err != nil {
			return nil, &Error{Kind: NotFound, What: "the folder cannot be read", Err: err}
		}
		return t, nil
	case !info.Mode().IsRegular():
		return nil, wrong(NotAFile, "this is neither a file nor a folder")
	}
	f, err := os.Open(path) // #nosec G304 -- the user's source
	if err != nil {
		return nil, &Error{Kind: NotFound, What: "the file cannot be read", Err: err}
	}
	plain, size, err := unpacked(ctx, f, temp, diskSpace)
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	t, err := indexTar(plain, size)
	if err != nil {
		_ = plain.Close()
		return nil, err
	}
	return t, nil
}

// readBlob reads a small blob into memory.
func readBlob(ctx context.Context, b Blob, d v1.Descriptor) ([]byte, error) {
	r, err := b.Open(ctx, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.Close() }()
	raw, err := io.ReadAll(io.LimitReader(r, d.Size+1))
	if err != nil {
		return nil, err
	}
	if int64(len(raw)) != d.Size {
		return nil, broken(nil, "blob %s has not the %d bytes that its descriptor says", d.Digest, d.Size)
	}
	return raw, verify("blob "+d.Digest.String(), d.Digest, raw)
}
