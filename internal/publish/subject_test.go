package publish

import (
	"fmt"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multi-registry-push/multi-registry-push/internal/source"
)

func TestManifestsOfOneSubjectAreOneLine(t *testing.T) {
	manifest := func(n int, subject string) *source.Manifest {
		raw := `{}`
		if subject != "" {
			raw = fmt.Sprintf(`{"subject":{"digest":"sha256:%064s"}}`, subject)
		}
		return &source.Manifest{Descriptor: v1.Descriptor{Size: int64(n)}, Raw: []byte(raw)}
	}
	lines := bySubject([]*source.Manifest{manifest(0, ""), manifest(1, "a"), manifest(2, "b"), manifest(3, "a"), manifest(4, "")})
	var got [][]int64
	for _, l := range lines {
		var ns []int64
		for _, m := range l {
			ns = append(ns, m.Descriptor.Size)
		}
		got = append(got, ns)
	}
	if want := "[[0] [1 3] [2] [4]]"; fmt.Sprint(got) != want {
		t.Errorf("%v, want %s", got, want)
	}
}
