package main

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// server is a registry in memory, on a loopback port, behind one account.
type server struct {
	name, host, user, password string

	http   *http.Server
	served chan struct{}
}

func startRegistry(name string) (*server, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &server{
		name: name, host: listener.Addr().String(),
		user: "robot-" + name, password: rand.Text(), served: make(chan struct{}),
	}
	handler := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	locked := func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		if subtle.ConstantTimeCompare([]byte(user+":"+password), []byte(s.user+":"+s.password)) != 1 {
			w.Header().Set("WWW-Authenticate", `Basic realm="demo"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		handler.ServeHTTP(w, r)
	}
	s.http = &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(locked)}
	go func() {
		defer close(s.served)
		_ = s.http.Serve(slowListener{listener})
	}()
	return s, nil
}

func (s *server) stop() {
	_ = s.http.Close()
	<-s.served
}

func (s *server) image(tag string) string { return s.host + "/acme/app:" + tag }

// pull reads the image that a tag names, every blob of it, with another client than the
// program's own, which checks each digest on the way. It returns the digest and how many
// blobs there are.
func (s *server) pull(ctx context.Context, tag string) (digest string, blobs int, size int64, err error) {
	ref, err := name.NewTag(s.image(tag))
	if err != nil {
		return "", 0, 0, err
	}
	auth := &authn.Basic{Username: s.user, Password: s.password}
	index, err := remote.Index(ref, remote.WithContext(ctx), remote.WithAuth(auth))
	if err != nil {
		return "", 0, 0, fmt.Errorf("pulling %s: %w", ref, err)
	}
	sum, err := index.Digest()
	if err != nil {
		return "", 0, 0, err
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return "", 0, 0, err
	}
	for _, d := range manifest.Manifests {
		image, err := index.Image(d.Digest)
		if err != nil {
			return "", 0, 0, err
		}
		n, bytes, err := readAll(image)
		if err != nil {
			return "", 0, 0, fmt.Errorf("pulling %s, %s: %w", ref, d.Platform, err)
		}
		blobs, size = blobs+n, size+bytes
	}
	return sum.String(), blobs, size, nil
}

func readAll(image v1.Image) (blobs int, size int64, err error) {
	config, err := image.RawConfigFile()
	if err != nil {
		return 0, 0, err
	}
	layers, err := image.Layers()
	if err != nil {
		return 0, 0, err
	}
	size = int64(len(config))
	for _, layer := range layers {
		r, err := layer.Compressed()
		if err != nil {
			return 0, 0, err
		}
		n, err := io.Copy(io.Discard, r)
		if closed := r.Close(); err == nil {
			err = closed
		}
		if err != nil {
			return 0, 0, err
		}
		size += n
	}
	return 1 + len(layers), size, nil
}
