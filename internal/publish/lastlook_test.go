package publish

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/multi-registry-push/multi-registry-push/internal/registry"
	"github.com/multi-registry-push/multi-registry-push/internal/source"
	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

// signed is a run of an image and a signature of it to refs, and signatures that others could
// have written under its tag.
type signed struct {
	*setup
	tag                       string
	ours, none, other, second *source.Manifest
}

func newSigned(t *testing.T, atomic bool, refs ...string) *signed {
	root := twoPlatforms(t, "new")
	config := newBlob("{}", types.OCIConfigJSON)
	one, two, theirs := newBlob("1", "application/cosign"), newBlob("2", "application/cosign"),
		newBlob("theirs", "application/cosign")
	s := &signed{
		setup: newSetup(t, root, refs...), tag: "sha256-" + root.Descriptor.Digest.Hex + ".sig",
		ours: newManifest(t, nil, config, one, two), none: newManifest(t, nil, config),
		second: newManifest(t, nil, config, two), other: newManifest(t, nil, config, theirs),
	}
	s.settings.Atomic = atomic
	s.referrers(root, source.Referrer{Manifest: s.ours, Tag: s.tag})
	return s
}

// atLastLook calls f, or answers with its error, when the signature's tag is looked at right
// before it is written.
func (s *signed) atLastLook(host string, f func() error) {
	last := 2 // after the inventory
	if s.settings.Atomic {
		last = 3 // and when the others are whole
	}
	looks := 0
	s.hosts[host].fail = func(call string) error {
		if call == "Stat me/app "+s.tag {
			if looks++; looks == last {
				return f()
			}
		}
		return nil
	}
}

// A signature that appears between the inventory and the write is kept, and is no reason to fail.
func TestSignatureThatAppearsLateIsKept(t *testing.T) {
	for _, atomic := range []bool{false, true} {
		t.Run(fmt.Sprintf("atomic %v", atomic), func(t *testing.T) {
			s := newSigned(t, atomic, "a.test/me/app:1", "b.test/me/app:1")
			a := s.hosts["a.test"]
			s.atLastLook("a.test", func() error { a.serve("me/app", s.tag, s.other); return nil })
			s.run(t.Context())
			if got := a.tags()["me/app:"+s.tag]; got != s.other.Descriptor.Digest.String() {
				t.Errorf("the signature's tag serves %q", got)
			}
			if n := a.count("PutManifest me/app " + s.tag); n > 0 {
				t.Errorf("%d writes", n)
			}
			want := map[string]Status{"a.test/me/app:1": Pushed, "b.test/me/app:1": Pushed}
			if got := s.status(); !maps.Equal(got, want) || len(s.failures()) > 0 {
				t.Errorf("got %v, failures %v", got, s.failures())
			}
			if got := s.registry("a.test").Referrers; got != (ReferrerCounts{Kept: 1}) {
				t.Errorf("%+v", got)
			}
			if got := s.registry("b.test").Referrers; got != (ReferrerCounts{Copied: 1}) {
				t.Errorf("%+v", got)
			}
		})
	}
}

// A signature that is kept has nothing left to write: a run that is cancelled when all else is
// written is not undone for it.
func TestKeptSignatureCountsAsWritten(t *testing.T) {
	u := &tagUpdate{kept: true, digest: v1.Hash{Algorithm: "sha256"}}
	if !allWritten([][]*tagUpdate{{u}}) {
		t.Error("an update without a manifest is waited for")
	}
}

// A registry that cannot tell, at the last look, what a tag serves is not written to where that
// tag must stay, and nothing is put back for what it served.
func TestUnclearLastLook(t *testing.T) {
	t.Run("immutable", func(t *testing.T) {
		s := newSetup(t, twoPlatforms(t, "new"), "a.test/me/app:1.2.3")
		s.settings.ImmutableTags = version
		a, other, looks := s.hosts["a.test"], twoPlatforms(t, "other"), 0
		a.lax = true
		a.fail = func(call string) error {
			if call == "Stat me/app 1.2.3" {
				if looks++; looks == 2 {
					a.serve("me/app", "1.2.3", other)
					return registry.ErrUnclear
				}
			}
			return nil
		}
		s.run(t.Context())
		if got := a.tags()["me/app:1.2.3"]; got != other.Descriptor.Digest.String() {
			t.Errorf("serves %s: an immutable tag moved", got)
		}
		if !s.failedWith("a.test", usererror.TagRefused) {
			t.Errorf("failures: %v", s.failures())
		}
	})
	t.Run("atomic", func(t *testing.T) {
		s := newSigned(t, true, "a.test/me/app:1", "b.test/me/app:1")
		a := s.hosts["a.test"]
		a.serve("me/app", s.tag, s.none)
		s.atLastLook("a.test", func() error { return registry.ErrUnclear })
		look, refuse := a.fail, failing("PutManifest me/app 1", errors.New("refused"))
		a.fail = func(call string) error { return cmp.Or(look(call), refuse(call)) }
		s.run(t.Context())
		if got := a.tags()["me/app:"+s.tag]; got != s.none.Descriptor.Digest.String() {
			t.Errorf("the signature's tag serves %q, want what was there", got)
		}
		if got := s.registry("b.test").Status(); got != HeldBack {
			t.Errorf("b.test is %s", got)
		}
	})
}

// What is put back is what the tag served right before our write, not what it served when the
// others had become whole.
func TestPutsBackWhatWasThereLast(t *testing.T) {
	for _, first := range []bool{false, true} {
		t.Run(fmt.Sprintf("served something before %v", first), func(t *testing.T) {
			s := newSigned(t, true, "a.test/me/app:1", "b.test/me/app:1")
			a := s.hosts["a.test"]
			if first {
				a.serve("me/app", s.tag, s.none)
			}
			s.atLastLook("a.test", func() error { a.serve("me/app", s.tag, s.second); return nil })
			written := make(chan struct{})
			look := a.fail
			a.fail = func(call string) error {
				if call == "PutManifest me/app 1" { // after those of referrers
					close(written)
				}
				return look(call)
			}
			s.hosts["b.test"].refuseAfter("PutManifest me/app sha256-", written)
			s.run(t.Context())
			if got := a.tags(); len(got) != 1 || got["me/app:"+s.tag] != s.second.Descriptor.Digest.String() {
				t.Errorf("a.test serves %v, want %s alone", got, s.second.Descriptor.Digest)
			}
			if len(s.failures()["a.test"]) > 0 {
				t.Errorf("failures: %v", s.failures()["a.test"])
			}
		})
	}
}

// What refers to an image counts as copied once, where it was lacking.
func TestReferrersAreCounted(t *testing.T) {
	root := twoPlatforms(t, "new")
	s := newSetup(t, root, "a.test/me/app:1")
	s.referrers(root, source.Referrer{Manifest: newManifest(t, &root.Descriptor, newBlob("{}", types.OCIConfigJSON))})
	for _, want := range []ReferrerCounts{{Copied: 1}, {}} {
		s.run(t.Context())
		if got := s.registry("a.test"); got.Referrers != want || len(got.Failures) > 0 {
			t.Errorf("got %+v, want %+v: %v", got.Referrers, want, got.Failures)
		}
	}
}
