package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/multi-registry-push/multi-registry-push/test/images"
)

// realistic is an image of two platforms with attestations: 17 blobs, 314 MB, the
// first three layers shared by both platforms.
func realistic(scale int) *images.Image {
	sizes := []int{48_000_000, 9_000_000, 900_000, 62_000_000, 41_000_000, 25_000_000}
	for i := range sizes {
		sizes[i] /= scale
	}
	return images.Build(images.Options{Layers: len(sizes), Shared: 3, LayerSizes: sizes})
}

// upload writes an image to a server inside n, by plain requests.
func upload(ctx context.Context, n *network, s *server, image *images.Image) error {
	client, err := n.client()
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	base := "http://" + s.Addr + "/v2/" + repository
	for _, b := range image.Blobs {
		resp, err := send(ctx, client, http.MethodPost, base+"/blobs/uploads/", "", nil)
		if err != nil {
			return err
		}
		location := resp.Header.Get("Location")
		if strings.HasPrefix(location, "/") {
			location = "http://" + s.Addr + location
		}
		join := "?"
		if strings.Contains(location, "?") {
			join = "&"
		}
		if _, err := send(ctx, client, http.MethodPut, location+join+"digest="+b.Descriptor.Digest.String(), "application/octet-stream", b.Bytes); err != nil {
			return err
		}
	}
	for _, m := range image.Manifests {
		if _, err := send(ctx, client, http.MethodPut, base+"/manifests/"+m.Descriptor.Digest.String(), string(m.Descriptor.MediaType), m.Bytes); err != nil {
			return err
		}
	}
	root := image.Manifests[len(image.Manifests)-1]
	_, err = send(ctx, client, http.MethodPut, base+"/manifests/"+tag, string(root.Descriptor.MediaType), root.Bytes)
	return err
}

func send(ctx context.Context, client *http.Client, method, url, mediaType string, body []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", mediaType)
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode >= 300 {
		return nil, fmt.Errorf("%s %s: %s: %s", method, url, resp.Status, text)
	}
	return resp, nil
}

// client returns one that dials inside the namespace.
func (n *network) client() (*http.Client, error) {
	dial := (&net.Dialer{}).DialContext
	if n.namespace != "" {
		dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			return dialInside(ctx, n.namespace, network, addr)
		}
	}
	return &http.Client{Transport: &http.Transport{DialContext: dial}}, nil
}

// archive writes the image as an OCI archive into dir.
func archive(image *images.Image, dir string) (string, error) {
	path := filepath.Join(dir, "image.tar")
	f, err := os.Create(path)
	if err != nil {
		return "", err
	}
	if err := image.WriteArchive(f, "docker.io/acme/app:1"); err != nil {
		return "", err
	}
	return path, f.Close()
}
