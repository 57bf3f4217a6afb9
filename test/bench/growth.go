package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/multi-registry-push/multi-registry-push/test/light"
)

// start is what it costs to begin.
func (b *bench) start(ctx context.Context) error {
	var packed bytes.Buffer
	z, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		return err
	}
	for _, path := range []string{b.tools.us, "/etc/ssl/certs/ca-certificates.crt"} {
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		_, _ = z.Write(raw) // into memory
	}
	if err := z.Close(); err != nil {
		return err
	}
	b.goal("image size", "below 6 MB compressed", packed.Len() < 6_000_000, "%.2f MB: binary and certificates, gzip", float64(packed.Len())/1e6)

	n := &network{}
	st, err := startStage(ctx, n, 1, "")
	if err != nil {
		return err
	}
	defer st.stop()
	if _, err := st.source.synthesize(2, 1, 1000); err != nil {
		return err
	}
	var all []float64
	for range max(5, 5*b.rounds) {
		if err := st.empty(); err != nil {
			return err
		}
		c, err := n.run(ctx, b.tools.ours(spec(), st.hosts(), os.DevNull))
		if err != nil {
			return err
		}
		source, to, err := st.counts()
		if err != nil {
			return err
		}
		first := to[0].First
		if source.First.Before(first) {
			first = source.First
		}
		all = append(all, first.Sub(c.Start).Seconds()*1000)
	}
	b.goal("start: process to first request", "below 20 ms", median(all) < 20, "%.1f ms (median of %d, %.1f to %.1f)", median(all), len(all), least(all), most(all))
	return nil
}

// again is a run that finds nothing to do.
func (b *bench) again(ctx context.Context) error {
	st, end, err := b.stage(ctx, false, false)
	if err != nil {
		return err
	}
	defer end()
	p := b.tools.ours(spec(), st.hosts(), os.DevNull)
	if _, err := st.network.run(ctx, p); err != nil {
		return err
	}
	if err := st.forget(); err != nil {
		return err
	}
	c, err := st.network.run(ctx, p)
	if err != nil {
		return err
	}
	source, to, err := st.counts()
	if err != nil {
		return err
	}
	children := int64(len(b.image.Manifests) - 1)
	var blobs, worst int64
	for _, t := range to {
		blobs += t.BlobRequests()
		worst = max(worst, t.Requests-t.Login())
	}
	budget := 3 + children + 2
	b.goal("run again, nothing to do: blobs", "no request for a blob, no mount", blobs+source.BlobRequests() == 0, "%d requests", blobs+source.BlobRequests())
	b.goal("run again, nothing to do: requests", fmt.Sprintf("at most 3 + %d child manifests + 2 for the tag, after login", children), worst <= budget,
		"%d of %d, beside %d for login; %.2f s", worst, budget, to[0].Login(), c.Time.Seconds())
	return nil
}

// registries is the same image to more and more registries.
func (b *bench) registries(ctx context.Context) error {
	n := &network{}
	st, err := startStage(ctx, n, 16, "")
	if err != nil {
		return err
	}
	defer st.stop()
	// Blobs as large as those of the image.
	var sizes []int64
	for _, blob := range b.image.Blobs {
		sizes = append(sizes, blob.Descriptor.Size)
	}
	total, err := st.source.synthesizeBlobs(sizes)
	if err != nil {
		return err
	}
	var first, last growth
	constant := true
	for _, registries := range []int{1, 2, 4, 8, 16} {
		var all []growth
		for range b.rounds {
			if err := st.empty(); err != nil {
				return err
			}
			c, err := n.run(ctx, b.tools.ours(spec(), st.hosts()[:registries], os.DevNull))
			if err != nil {
				return err
			}
			source, to, err := st.counts()
			if err != nil {
				return err
			}
			g := growth{Axis: "registries", N: registries, Seconds: c.Time.Seconds(), CPU: c.CPU.Seconds(), Peak: c.Peak, SourceBytes: source.BlobBytes, Requests: source.Requests}
			for _, t := range to {
				g.Requests += t.Requests
			}
			constant = constant && source.BlobBytes == total
			all = append(all, g)
		}
		g := worst(all)
		say("%d registries: %.2f s, CPU %.2f s, %.1f MiB, %d requests", registries, g.Seconds, g.CPU, float64(g.Peak)/(1<<20), g.Requests)
		b.report.Growth = append(b.report.Growth, g)
		if registries == 1 {
			first = g
		}
		last = g
	}
	each := float64(last.Peak-first.Peak) / 15 / (1 << 20)
	b.goal("16 registries: source", "bytes constant", constant, "%.2f × for each of 1, 2, 4, 8, 16", float64(last.SourceBytes)/float64(total))
	b.goal("16 registries: memory", "below 80 MiB, growing by less than 3 MiB a registry", last.Peak < 80<<20 && each < 3,
		"%.1f MiB, %.2f MiB a registry", float64(last.Peak)/(1<<20), each)
	return nil
}

// large is one layer of 10 GB to two registries, of which the second is then so slow
// that the spool reaches its limit.
func (b *bench) large(ctx context.Context) error {
	size := int64(10_000_000_000) / int64(b.scale)
	const slow = 60_000_000 // bytes a second
	measure := func(axis string, second int) (g growth, first float64, err error) {
		n := &network{second: second}
		st, err := startStage(ctx, n, 2, "")
		if err != nil {
			return g, 0, err
		}
		defer st.stop()
		if _, err := st.source.synthesizeBlobs([]int64{size, 1000}); err != nil {
			return g, 0, err
		}
		output := b.folder + "/output"
		_ = os.Remove(output)
		c, disk, err := n.runWatchingDisk(ctx, b.tools.ours(spec(), st.hosts(), output))
		if err != nil {
			return g, 0, err
		}
		source, _, err := st.counts()
		if err != nil {
			return g, 0, err
		}
		r, err := results(output)
		if err != nil {
			return g, 0, err
		}
		for _, registry := range r.Registries {
			if registry.Registry == st.to[0].Addr {
				first = float64(registry.DurationMs) / 1000
			}
		}
		g = growth{Axis: axis, N: int(size), Seconds: c.Time.Seconds(), CPU: c.CPU.Seconds(), Peak: c.Peak, Disk: disk, SourceBytes: source.BlobBytes, Requests: source.Requests}
		say("%s: %.1f s, the first registry %.1f s, %.1f MiB, disk %.2f GiB, source %.2f ×", axis, g.Seconds, first, float64(g.Peak)/(1<<20), float64(disk)/(1<<30), float64(g.SourceBytes)/float64(size))
		b.report.Growth = append(b.report.Growth, g)
		return g, first, nil
	}
	g, alone, err := measure("bytes of one layer", 0)
	if err != nil {
		return err
	}
	b.goal("one 10 GB layer: memory", "below 50 MiB", g.Peak < 50<<20, "%.1f MiB, %.1f s", float64(g.Peak)/(1<<20), g.Seconds)
	b.goal("one 10 GB layer: disk", "within the cache's limit of 4 GiB", g.Disk <= 4<<30, "%.2f GiB, source %.2f ×", float64(g.Disk)/(1<<30), float64(g.SourceBytes)/float64(size+1000))
	g, beside, err := measure(fmt.Sprintf("bytes of one layer, one of two registries at %d MB/s", slow/1_000_000), slow)
	if err != nil {
		return err
	}
	b.goal("one 10 GB layer, one slow registry", "within the limits; the other finishes as if it were not there", g.Peak < 50<<20 && g.Disk <= 4<<30 && beside <= 1.05*alone,
		"%.1f MiB, disk %.2f GiB; the fast one %.1f s beside it, %.1f s with one as fast; source %.2f ×: the slow one is detached and reads the rest by itself",
		float64(g.Peak)/(1<<20), float64(g.Disk)/(1<<30), beside, alone, float64(g.SourceBytes)/float64(size+1000))
	return nil
}

// product is many tags of an image of many layers and manifests.
func (b *bench) product(ctx context.Context) error {
	n := &network{}
	st, err := startStage(ctx, n, 1, "")
	if err != nil {
		return err
	}
	defer st.stop()
	measure := func(tags, layers, manifests int) (growth, error) {
		g := growth{Axis: fmt.Sprintf("%d tags, %d layers, %d manifests", tags, layers, manifests), N: tags + layers + manifests}
		if _, err := st.source.synthesize(layers, manifests, 4000); err != nil {
			return g, err
		}
		if err := st.empty(); err != nil {
			return g, err
		}
		var names []string
		for i := range tags {
			names = append(names, fmt.Sprintf("%s/%s:t%d", st.to[0].Addr, repository, i))
		}
		c, err := n.run(ctx, b.tools.oursTags(spec(), st.hosts(), names, nil, os.DevNull))
		if err != nil {
			return g, err
		}
		source, to, err := st.counts()
		if err != nil {
			return g, err
		}
		g.Seconds, g.CPU, g.Peak, g.SourceBytes = c.Time.Seconds(), c.CPU.Seconds(), c.Peak, source.BlobBytes
		g.Requests = source.Requests + to[0].Requests
		say("%s: %d requests, %.2f s, %.1f MiB", g.Axis, g.Requests, g.Seconds, float64(g.Peak)/(1<<20))
		b.report.Growth = append(b.report.Growth, g)
		return g, nil
	}
	one, err := measure(1, 1, 1)
	if err != nil {
		return err
	}
	var sum int64
	for _, n := range [][3]int{{1000, 1, 1}, {1, 100, 1}, {1, 1, 64}} {
		g, err := measure(n[0], n[1], n[2])
		if err != nil {
			return err
		}
		sum += g.Requests - one.Requests
	}
	all, err := measure(1000, 100, 64)
	if err != nil {
		return err
	}
	sum += one.Requests
	b.goal("1,000 tags, 100 layers, 64 manifests", "requests grow with the sum, not the product", all.Requests <= sum+sum/20,
		"%d requests; the three apart add up to %d", all.Requests, sum)
	return nil
}

// synthesize gives the source an index of manifests of which each has the same
// layers and a config of its own; one manifest gives no index. It returns the
// bytes of all blobs.
func (s *server) synthesize(layers, manifests int, size int64) (total int64, err error) {
	var all []v1.Descriptor
	for i := range layers {
		d, err := s.blob(i, size+int64(i), types.OCILayer)
		if err != nil {
			return 0, err
		}
		total += d.Size
		all = append(all, d)
	}
	index := v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex}
	for i := range manifests {
		config, err := s.blob(i, size/2+int64(i), types.OCIConfigJSON)
		if err != nil {
			return 0, err
		}
		total += config.Size
		raw, err := json.Marshal(v1.Manifest{SchemaVersion: 2, MediaType: types.OCIManifestSchema1, Config: config, Layers: all})
		if err != nil {
			return 0, err
		}
		name := ""
		if manifests == 1 {
			name = tag
		}
		a, err := s.do(order{Do: "put", Manifest: raw, Type: string(types.OCIManifestSchema1), Tag: name})
		if err != nil {
			return 0, err
		}
		hash, err := v1.NewHash(a.Digest)
		if err != nil {
			return 0, err
		}
		index.Manifests = append(index.Manifests, v1.Descriptor{MediaType: types.OCIManifestSchema1, Size: int64(len(raw)), Digest: hash,
			Platform: &v1.Platform{OS: "linux", Architecture: fmt.Sprint("test", i)}})
	}
	if manifests == 1 {
		return total, nil
	}
	raw, err := json.Marshal(index)
	if err != nil {
		return 0, err
	}
	_, err = s.do(order{Do: "put", Manifest: raw, Type: string(types.OCIImageIndex), Tag: tag})
	return total, err
}

// synthesizeBlobs gives the source an image of blobs of these sizes, the last being the
// config, and returns their bytes.
func (s *server) synthesizeBlobs(sizes []int64) (total int64, err error) {
	m := v1.Manifest{SchemaVersion: 2, MediaType: types.OCIManifestSchema1}
	for i, size := range sizes {
		d, err := s.blob(i, size, types.OCILayer)
		if err != nil {
			return 0, err
		}
		total += size
		m.Layers = append(m.Layers, d)
	}
	last := len(m.Layers) - 1
	m.Config, m.Layers = m.Layers[last], m.Layers[:last]
	m.Config.MediaType = types.OCIConfigJSON
	raw, err := json.Marshal(m)
	if err != nil {
		return 0, err
	}
	_, err = s.do(order{Do: "put", Manifest: raw, Type: string(types.OCIManifestSchema1), Tag: tag})
	return total, err
}

func (s *server) blob(seed int, size int64, mediaType types.MediaType) (d v1.Descriptor, err error) {
	a, err := s.do(order{Do: "make", Made: light.Made{Seed: byte(seed), Size: size}})
	if err != nil {
		return d, err
	}
	hash, err := v1.NewHash(a.Digest)
	return v1.Descriptor{MediaType: mediaType, Size: size, Digest: hash}, err
}

func isAtOnce(who string) bool { return strings.HasSuffix(who, "at once") }
