package registry

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// An upload that is being opened when its caller has had enough is given up once it is known where
// it is, and it is known unless the registry takes too long.
func TestOpeningThatNobodyWantsAnyMore(t *testing.T) {
	enough := errors.New("enough")
	content, d := blobOf(1 << 10)
	for name, open := range map[string]func(ctx context.Context, r *Repository) error{
		"for the permission": func(ctx context.Context, r *Repository) error { return r.StartUpload(ctx) },
		"ahead": func(ctx context.Context, r *Repository) error {
			if err := r.c.host.Probe(ctx); err != nil {
				return err
			}
			r.OpenUploads(ctx, 1)()
			return context.Cause(ctx)
		},
		"for a blob": func(ctx context.Context, r *Repository) error {
			_, err := r.Upload(ctx, d, nil, &bytesContent{data: content}, nil)
			return err
		},
		"in place of a mount": func(ctx context.Context, r *Repository) error {
			_, err := r.Upload(ctx, d, []string{"other"}, &bytesContent{data: content}, nil)
			return err
		},
	} {
		for _, answers := range []bool{true, false} {
			t.Run(name+map[bool]string{true: ", answered", false: ", not answered"}[answers], func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					f := newFakeHandler(t)
					arrived, cancelled := make(chan struct{}), make(chan struct{})
					f.hook = func(_ http.ResponseWriter, r *http.Request) bool {
						if r.Method != http.MethodPost {
							return false
						}
						close(arrived)
						<-cancelled
						if !answers {
							<-r.Context().Done()
						}
						return !answers
					}
					c := f.inBubble(Options{})
					ctx, cancel := context.WithCancelCause(t.Context())
					go func() {
						<-arrived
						cancel(enough)
						close(cancelled)
					}()
					began := time.Now()
					err := open(ctx, c.Repository("a"))
					took := time.Since(began)
					if !errors.Is(err, enough) {
						t.Errorf("the error is %v", err)
					}
					closePatiently(c)
					if opened := f.sequence > 0; opened != answers || len(f.sessions) > 0 {
						t.Errorf("opened: %t, still open: %d\n%s", opened, len(f.sessions), strings.Join(f.log, "\n"))
					}
					if took > answerTime {
						t.Errorf("it took %v", took)
					}
				})
			})
		}
	}
}
