package publish

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/multi-registry-push/multi-registry-push/internal/registry"
	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

// rolledBack is an atomic run to b.test, which takes its tags, and a.test, which then refuses its
// own. atB is asked about each call at b.test, and told whether b.test has taken the tag.
func rolledBack(t *testing.T, was bool, atB func(call string, written bool) error) *setup {
	s := newSetup(t, twoPlatforms(t, "new"), "a.test/me/app:1", "b.test/me/app:1")
	s.settings.Atomic = true
	s.deps.VerifyPauses = []time.Duration{time.Millisecond}
	b, wrote := s.hosts["b.test"], make(chan struct{})
	if was {
		old := newSetup(t, twoPlatforms(t, "old"), "b.test/me/app:1")
		old.hosts["b.test"] = b
		old.run(t.Context())
	}
	written := false
	b.fail = func(call string) error {
		if call == "PutManifest me/app 1" && !written {
			written = true
			close(wrote)
			return nil
		}
		return atB(call, written)
	}
	s.hosts["a.test"].refuseAfter("PutManifest me/app 1", wrote)
	return s
}

// What cannot be put back is told with the reason, and with what is left to do by hand.
func TestNotPutBack(t *testing.T) {
	for name, c := range map[string]struct {
		was         bool // b.test had the tag
		atB         func(call string, written bool) error
		why, remedy string
	}{
		"the old manifest is gone": {true, func(call string, _ bool) error {
			if strings.HasPrefix(call, "Manifest me/app sha256:") {
				return registry.ErrNotFound
			}
			return nil
		}, "the manifest that it served is gone", "Set b.test/me/app:1 to sha256:"},
		"the write is not shown": {false, func(call string, written bool) error {
			if written && (call == "Stat me/app 1" || call == "DeleteTag me/app 1") {
				return registry.ErrNotFound
			}
			return nil
		}, "it may yet move", "Remove the tag b.test/me/app:1 by hand"},
		"nobody answers": {false, func(call string, written bool) error {
			if written && (call == "Stat me/app 1" || call == "DeleteTag me/app 1") {
				return errors.New("503")
			}
			return nil
		}, "503", "it serves what cannot be told"},
	} {
		t.Run(name, func(t *testing.T) {
			s := rolledBack(t, c.was, c.atB)
			s.run(t.Context())
			b := s.registry("b.test")
			if !s.failedWith("b.test", usererror.NotPutBack) || b.References[0].Status != Failed {
				t.Fatalf("%+v", b)
			}
			f := b.Failures[0]
			if !strings.Contains(string(f.Message), c.why) || !strings.Contains(string(f.Remedy), c.remedy) {
				t.Errorf("%s: %s", f.Message, f.Remedy)
			}
		})
	}
}

// What was written by digest stays, and is told to.
func TestRollBackLeavesDigests(t *testing.T) {
	root := twoPlatforms(t, "new")
	s := newSetup(t, root, "a.test/me/app:1", "b.test/me/app:1")
	s.settings.Atomic, s.settings.PushByDigest = true, true
	wrote, put := make(chan struct{}), "PutManifest me/app "+root.Descriptor.Digest.String()
	s.hosts["b.test"].fail = func(call string) error {
		if call == put {
			close(wrote)
		}
		return nil
	}
	s.hosts["a.test"].refuseAfter(put, wrote)
	s.run(t.Context())
	ref := s.registry("b.test").References[0]
	if ref.Status != HeldBack || ref.Now != root.Descriptor.Digest.String() || !strings.HasPrefix(string(ref.Reason), "stays:") {
		t.Errorf("%+v", ref)
	}
	for _, n := range s.result.Notes {
		if strings.Contains(string(n.Text), "to be put back") {
			t.Errorf("%q, of no tag", n.Text)
		}
	}
}

// Once its seconds are over, a cancelled job puts no more back, and says so.
func TestPuttingBackRunsOutOfTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		looks := 0
		s := rolledBack(t, false, func(call string, written bool) error {
			if written && call == "Stat me/app 1" {
				looks++
				cancel()
				time.Sleep(rollBackTime + time.Second) // of the bubble
			}
			return nil
		})
		s.run(ctx)
		if !s.failedWith("b.test", usererror.NotPutBack) || s.hosts["b.test"].tags()["me/app:1"] == "" || looks != 1 {
			t.Errorf("%d looks: %+v", looks, s.registry("b.test"))
		}
	})
}
