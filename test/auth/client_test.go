package auth

import (
	"bytes"
	"context"
	"crypto/rand"
	"io"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multi-registry-push/multi-registry-push/internal/registry"
)

// blob is content that can be read again.
type blob []byte

func (b blob) Open(_ context.Context, offset int64) (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(b[offset:])), nil
}

func upload(t *testing.T, r *registry.Repository) error {
	t.Helper()
	b := make(blob, 4096)
	_, _ = rand.Read(b)
	digest, size, err := v1.SHA256(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.Upload(t.Context(), v1.Descriptor{Digest: digest, Size: size}, nil, b, nil)
	return err
}

// Credentials that run out in the middle of a run are renewed by the program's own client,
// without a failure that anybody would notice.
func TestCredentialsRunOutDuringARun(t *testing.T) {
	each(t, func(t *testing.T, j *job, p provider, s setUp) {
		c := j.choose(j.resolver(s.item), p.host, p.path)
		var notices []registry.Notice
		client := registry.New(registry.Options{
			Host: p.host, Auth: asAccount(c.Auth), Redactor: j.redactor, Clock: j.clock, Base: j.o.Transport(),
			Notify: func(n registry.Notice) { notices = append(notices, n) },
		})
		defer client.Close()
		r := client.Repository(p.path)
		if err := r.Login(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := r.StartUpload(t.Context()); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if err := upload(t, r); err != nil {
				t.Fatal(err)
			}
			j.clock.Advance(p.life + time.Second)
		}
		for _, n := range notices {
			if n.Warning {
				t.Errorf("a warning: %s", n.Text)
			}
		}
		// The last host is the one that issues the credential that runs out.
		if host := p.hosts[len(p.hosts)-1]; j.times(host) < 3 {
			t.Errorf("%s was asked %d times", host, j.times(host))
		}
	})
}
