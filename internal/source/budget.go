package source

import (
	"sync"

	"github.com/multi-registry-push/multi-registry-push/internal/jsondoc"
)

const (
	// maxManifestBytes and maxElements bound the memory that the documents of all images of
	// a run take: their bytes, and the descriptors in them.
	maxManifestBytes = 32 << 20
	maxElements      = 60_000
)

// Budget bounds the memory that manifests and configs of all images of a run take together.
// The zero value is ready to use, by any number of images at once.
type Budget struct {
	mu       sync.Mutex
	bytes    int64
	elements int
}

// hold counts n bytes that stay in memory, before they are read.
func (b *Budget) hold(n int64) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n > maxManifestBytes-b.bytes {
		return broken(nil, "the image's manifests and configs take more than %d MiB together", maxManifestBytes>>20)
	}
	b.bytes += n
	return nil
}

// parse counts the elements of a document, before they are read into memory.
func (b *Budget) parse(raw []byte) error {
	n, err := jsondoc.Elements(raw)
	if err != nil {
		return nil // who decodes it says so
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if n > maxElements-b.elements {
		return broken(nil, "the image's manifests list more than %d manifests and blobs together", maxElements)
	}
	b.elements += n
	return nil
}
