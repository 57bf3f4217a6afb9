package source

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multi-registry-push/multi-registry-push/internal/image"
)

// maxSmall bounds the memory for what is not a layer in an export, in bytes.
const maxSmall = 64 << 20

// openDaemon opens an image in the Docker engine. The engine is asked what it has at
// once; the one export begins when the image is first needed.
func openDaemon(ctx context.Context, spec Spec, o Options) (*Image, error) {
	e, err := newEngine(o.Docker)
	if err != nil {
		return nil, err
	}
	i, err := openInEngine(ctx, e, spec, o)
	if err != nil {
		e.close()
		return nil, err
	}
	i.Reference = spec.Text
	return i, nil
}

func openInEngine(ctx context.Context, e *engine, spec Spec, o Options) (*Image, error) {
	found, err := e.inspect(ctx, spec.Name)
	if err != nil {
		// The engine may hold the platforms that are asked for, and not its own.
		if isKind(err, PartlyInEngine) && len(o.Platforms) > 0 && e.usesContainerd(ctx, found) {
			return openContainerd(ctx, e, spec, o), nil
		}
		return nil, err
	}
	if e.usesContainerd(ctx, found) {
		return openContainerd(ctx, e, spec, o), nil
	}
	on := image.NormalizePlatform(found.OS, found.Architecture, found.Variant)
	if err := askedFor(on, o.Platforms); err != nil {
		return nil, err
	}
	wanted := map[v1.Hash]bool{}
	for _, text := range found.RootFS.Layers {
		h, err := v1.NewHash(text)
		if err != nil {
			return nil, broken(err, "the engine names a layer %q", short(text))
		}
		wanted[h] = true
	}
	x := &export{engine: e, id: found.ID, wanted: wanted, compressor: compressor{o.TempDir, o.Workers}, options: o}
	x.job = newLayerJob(ctx, len(wanted), x.run)
	return &Image{
		root:      x.job.wait,
		pending:   x.job.blobs(),
		platforms: func(context.Context) ([]string, error) { return []string{on.String()}, nil },
		close: func() error {
			defer e.close()
			return x.job.close()
		},
		lazy: true,
		imagePlatform: func(ctx context.Context, _ *Manifest) (v1.Platform, bool, error) {
			_, err := x.job.wait(ctx)
			return x.is, x.is.OS != "" && x.is.Architecture != "", err
		},
	}, nil
}

// export is one `docker save` whose layers are compressed while they arrive. Nothing but
// the compressed layers touches the disk.
type export struct {
	engine     *engine
	id         string
	wanted     map[v1.Hash]bool // diff ids
	compressor compressor
	options    Options
	job        *layerJob

	small *archive // everything but layers, in memory
	bytes bytes.Buffer
	slots map[v1.Hash]*pendingLayer
	is    v1.Platform // known when all has arrived
}

func (x *export) run(ctx context.Context) (*Manifest, error) {
	response, err := x.engine.get(ctx, "/images/"+x.id+"/get", nil)
	if err != nil {
		return nil, exportProblem(err)
	}
	defer func() { _ = response.Body.Close() }()
	x.slots = map[v1.Hash]*pendingLayer{}
	x.small = &archive{entries: map[string]entry{}, twice: map[string]bool{}}
	r := tar.NewReader(readUnder(ctx, response.Body))
	for n := 0; ; n++ {
		h, err := r.Next()
		switch {
		case errors.Is(err, io.EOF):
			return x.finish()
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case err != nil:
			return nil, broken(err, "the engine's export breaks off")
		case n == maxEntries:
			return nil, broken(nil, "the engine's export has more than %d entries", maxEntries)
		}
		if err := x.take(ctx, h, r); err != nil {
			return nil, err
		}
	}
}

func exportProblem(err error) error {
	if answer, ok := errors.AsType[*engineError](err); ok {
		return &Error{Kind: ExportRefused, What: "the Docker engine does not export the image", Err: answer}
	}
	return err
}

// take reads one entry of the export.
func (x *export) take(ctx context.Context, h *tar.Header, r io.Reader) error {
	name, err := cleanName(h.Name)
	if err != nil {
		return err
	}
	if h.Typeflag != tar.TypeReg || sparse(h) {
		return x.small.add(h, 0, 0)
	}
	if !x.isLayer(name, h.Size) {
		offset := int64(x.bytes.Len())
		if offset+h.Size > maxSmall {
			return broken(nil, "what is not a layer takes more than %d MiB in the engine's export", maxSmall>>20)
		}
		if _, err := x.bytes.ReadFrom(r); err != nil {
			return readError(ctx, err)
		}
		return x.small.add(h, offset, int64(x.bytes.Len()))
	}
	l, err := x.compressor.fromStream(ctx, r)
	if err != nil {
		return withSource("layer "+short(name), err)
	}
	if !x.wanted[l.diffID] || x.slots[l.diffID] != nil {
		if l.release == nil {
			return nil
		}
		return l.release()
	}
	x.slots[l.diffID], err = x.job.finished(l)
	return err
}

// isLayer tells layers from what describes them, before either has been read. The classic
// form calls layers ID/layer.tar, Podman DIFFID.tar, Docker 25 and later
// blobs/sha256/DIFFID.
func (x *export) isLayer(name string, size int64) bool {
	if hex, ok := strings.CutPrefix(name, "blobs/sha256/"); ok && x.wanted[v1.Hash{Algorithm: "sha256", Hex: hex}] {
		return true
	}
	return strings.HasSuffix(name, ".tar") || size > maxManifest
}

// finish makes the manifest when all has arrived.
func (x *export) finish() (*Manifest, error) {
	x.small.at = bytes.NewReader(x.bytes.Bytes())
	all, err := readSaved(x.small)
	if err != nil {
		return nil, err
	}
	chosen, config, err := chooseSaved(x.small, all, "")
	if err != nil {
		return nil, err
	}
	s, err := newSaved(config, chosen, x.options)
	if err != nil {
		return nil, err
	}
	x.is = s.is
	for _, diffID := range s.diffIDs {
		if x.slots[diffID] == nil {
			return nil, exportLacks(broken(missingError{diffID}, "a layer is not there"))
		}
	}
	return s.manifest(x.slots)
}

// openContainerd opens an image in containerd's store. Its export is an OCI layout with
// everything as it was built or pulled; it goes to an unnamed file, and is published
// unchanged. Platforms that were never pulled are left out.
func openContainerd(ctx context.Context, e *engine, spec Spec, o Options) *Image {
	ctx, cancel := context.WithCancel(ctx)
	var (
		once  sync.Once
		inner *Image
		fault error
	)
	save := func() (*Image, error) {
		once.Do(func() { inner, fault = e.save(ctx, spec.Name, o) })
		return inner, fault
	}
	return &Image{
		lazy: true,
		root: func(ctx context.Context) (*Manifest, error) { return after(ctx, save, (*Image).Root) },
		platforms: func(ctx context.Context) ([]string, error) {
			return after(ctx, save, (*Image).Platforms)
		},
		passedOver: func(ctx context.Context) (PassedOver, error) {
			return after(ctx, save, (*Image).PassedOver)
		},
		absent: func(ctx context.Context) ([]string, error) {
			return after(ctx, save, (*Image).Absent)
		},
		referrers: func(ctx context.Context, m *Manifest) ([]Referrer, error) {
			saved, err := save()
			if err != nil {
				return nil, err
			}
			return saved.Referrers(ctx, m)
		},
		imagePlatform: func(ctx context.Context, m *Manifest) (v1.Platform, bool, error) {
			saved, err := save()
			if err != nil || saved.imagePlatform == nil {
				return v1.Platform{}, false, err
			}
			return saved.imagePlatform(ctx, m)
		},
		knows: func(h v1.Hash) bool {
			saved, err := save()
			return err == nil && saved.knows != nil && saved.knows(h)
		},
		close: func() error {
			cancel()
			once.Do(func() { fault = context.Canceled })
			defer e.close()
			if inner == nil {
				return nil
			}
			return inner.Close()
		},
	}
}

// after returns what an image that is saved first says.
func after[T any](ctx context.Context, save func() (*Image, error),
	say func(*Image, context.Context) (T, error)) (T, error) {
	saved, err := save()
	if err != nil {
		var none T
		return none, err
	}
	return say(saved, ctx)
}

// save exports an image into an unnamed file.
func (e *engine) save(ctx context.Context, name string, o Options) (*Image, error) {
	query, err := e.platformQuery(ctx, o.Platforms)
	if err != nil {
		return nil, err
	}
	response, err := e.get(ctx, "/images/"+name+"/get", query)
	if err != nil {
		return nil, exportProblem(err)
	}
	defer func() { _ = response.Body.Close() }()
	out, err := unnamed(o.TempDir)
	if err != nil {
		return nil, err
	}
	size, err := io.Copy(keepReserve(out, diskSpace), readUnder(ctx, response.Body))
	if err != nil {
		_ = out.Close()
		return nil, readError(ctx, err)
	}
	t, err := indexTar(out, size)
	if err != nil {
		_ = out.Close()
		return nil, err
	}
	i, err := openDockerArchive(ctx, t, "", o)
	if err != nil {
		_ = t.close()
		return nil, exportLacks(err)
	}
	return i, nil
}

// exportLacks says of a blob that is not in an export that the engine does not hold it:
// building the image again elsewhere would not help.
func exportLacks(err error) error {
	var missing missingError
	if !errors.As(err, &missing) {
		return err
	}
	return &Error{Kind: ExportIncomplete, Err: err, What: fmt.Sprintf("the Docker engine's export lacks %s: the "+
		"engine does not hold the whole image", missing.digest)}
}

const (
	// apiPlatform is the version of the engine's API in which an export takes a platform,
	// and apiPlatforms the one in which it takes several (moby, api/docs/CHANGELOG.md).
	apiPlatform  = 48
	apiPlatforms = 52
)

// platformQuery asks for the platforms alone where the engine understands that; nil asks
// for all that it has, of which the rest is left out here.
func (e *engine) platformQuery(ctx context.Context, list []string) (url.Values, error) {
	platforms, err := parsePlatforms(list)
	if err != nil || len(platforms) == 0 {
		return nil, err
	}
	minor := e.apiMinor(ctx)
	if minor < apiPlatform || len(platforms) > 1 && minor < apiPlatforms {
		return nil, nil
	}
	query := url.Values{}
	for _, p := range platforms {
		raw, err := encode(struct {
			OS           string `json:"os"`
			Architecture string `json:"architecture"`
			Variant      string `json:"variant,omitempty"`
		}{p.OS, p.Architecture, p.Variant})
		if err != nil {
			return nil, err
		}
		query.Add("platform", string(raw))
	}
	return query, nil
}
