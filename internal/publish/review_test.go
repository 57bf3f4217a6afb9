package publish

import (
	"errors"
	"maps"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/multi-registry-push/multi-registry-push/internal/credentials"
	"github.com/multi-registry-push/multi-registry-push/internal/imageref"
	"github.com/multi-registry-push/multi-registry-push/internal/registry"
	"github.com/multi-registry-push/multi-registry-push/internal/source"
	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

func item(required *bool, insecure bool) *credentials.Item {
	return &credentials.Item{Required: required, Insecure: insecure}
}

// TestOptionalRepositoryUndoesNothing has a required and an optional repository on one
// host; the optional one's tag is refused.
func TestOptionalRepositoryUndoesNothing(t *testing.T) {
	no := false
	s := newSetup(t, twoPlatforms(t, "new"), "a.test/me/app:1", "a.test/me/nightly:1", "b.test/me/app:1")
	s.settings.Atomic = true
	s.credential = func(r imageref.Repository) credentials.Credential {
		if r.Path == "me/nightly" {
			return credentials.Credential{Item: item(&no, false)}
		}
		return credentials.Credential{}
	}
	s.hosts["a.test"].fail = failing("PutManifest me/nightly 1", errors.New("refused"))
	s.run(t.Context())
	s.kept(t)
	want := map[string]Status{"a.test/me/app:1": Pushed, "a.test/me/nightly:1": Failed, "b.test/me/app:1": Pushed}
	if got := s.status(); !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if len(s.failures()) > 0 {
		t.Errorf("failures that count: %v", s.failures())
	}
}

// TestOptionalImmutableTagStopsNoOther: a failure in an optional repository is a warning, the
// required one on the same host goes on.
func TestOptionalImmutableTagStopsNoOther(t *testing.T) {
	no := false
	for _, atomic := range []bool{false, true} {
		for _, conflict := range []string{"me/nightly", "me/app"} {
			s := newSetup(t, twoPlatforms(t, "old"), "a.test/"+conflict+":1.0.0")
			s.run(t.Context())
			again := newSetup(t, twoPlatforms(t, "new"), "a.test/me/nightly:1.0.0", "a.test/me/app:1.0.0", "a.test/me/app:latest")
			again.hosts = s.hosts
			again.settings.Atomic, again.settings.ImmutableTags = atomic, regexp.MustCompile(`^(?:\d+\.\d+\.\d+)$`)
			again.credential = func(r imageref.Repository) credentials.Credential {
				if r.Path == "me/nightly" {
					return credentials.Credential{Item: item(&no, false)}
				}
				return credentials.Credential{}
			}
			again.run(t.Context())
			want := map[string]Status{"a.test/me/nightly:1.0.0": Failed, "a.test/me/app:1.0.0": Pushed, "a.test/me/app:latest": Pushed}
			if conflict == "me/app" {
				for ref := range want {
					want[ref] = Failed
				}
			}
			if got := again.status(); !maps.Equal(got, want) {
				t.Errorf("atomic %v, conflict in %s: got %v, want %v", atomic, conflict, got, want)
			}
			if counts := len(again.failures()) > 0; counts != (conflict == "me/app") {
				t.Errorf("atomic %v, conflict in %s: failures that count: %v", atomic, conflict, again.failures())
			}
		}
	}
}

// TestSameFailureOfOptionalAndRequired must be said of both: only one of them counts.
func TestSameFailureOfOptionalAndRequired(t *testing.T) {
	no := false
	s := newSetup(t, twoPlatforms(t, "new"), "a.test/me/nightly:1", "a.test/me/app:1")
	s.credential = func(r imageref.Repository) credentials.Credential {
		if r.Path == "me/nightly" {
			return credentials.Credential{Key: "same", Item: item(&no, false)}
		}
		return credentials.Credential{Key: "same"}
	}
	s.hosts["a.test"].fail = failing("Login", usererror.New(usererror.Unreachable, "a.test", "login", "", nil))
	s.run(t.Context())
	if !s.failedWith("a.test", usererror.Unreachable) {
		t.Errorf("failures that count: %v", s.failures())
	}
}

// TestPutBackSeesLateWrites has a registry that shows a write only when it is asked for
// the second time.
func TestPutBackSeesLateWrites(t *testing.T) {
	s := newSetup(t, twoPlatforms(t, "old"), "a.test/me/app:1", "b.test/me/app:1")
	s.run(t.Context())
	was := s.hosts["b.test"].tags()
	again := newSetup(t, twoPlatforms(t, "new"), "a.test/me/app:1", "b.test/me/app:1")
	again.hosts = s.hosts
	again.settings.Atomic = true
	again.deps.VerifyPauses = []time.Duration{time.Millisecond, time.Millisecond, time.Millisecond}
	b := s.hosts["b.test"]
	wrote := make(chan struct{})
	ours, looks := "", 0
	b.fail = func(call string) error {
		b.mu.Lock()
		defer b.mu.Unlock()
		tags := b.at("me/app").tags
		switch {
		case call == "PutManifest me/app 1" && ours == "":
			ours = "soon"
			defer close(wrote)
		case call == "Stat me/app 1" && ours != "":
			switch looks++; looks {
			case 1:
				ours = tags["1"]
				tags["1"] = was["me/app:1"]
			case 2:
				tags["1"] = ours
			}
		}
		return nil
	}
	s.hosts["a.test"].refuseAfter("PutManifest me/app 1", wrote)
	again.run(t.Context())
	if got := b.tags(); !maps.Equal(got, was) {
		t.Errorf("b.test serves %v, want %v", got, was)
	}
}

// TestPutBackLeavesToOthersWhatTheyMoveMeanwhile has somebody move a tag between the look at it and
// the write that would put it back.
func TestPutBackLeavesToOthersWhatTheyMoveMeanwhile(t *testing.T) {
	s := newSetup(t, twoPlatforms(t, "old"), "a.test/me/app:1", "b.test/me/app:1")
	s.run(t.Context())
	other := twoPlatforms(t, "other")
	again := newSetup(t, twoPlatforms(t, "new"), "a.test/me/app:1", "b.test/me/app:1")
	again.hosts = s.hosts
	again.settings.Atomic = true
	b := s.hosts["b.test"]
	wrote, writes := make(chan struct{}), 0
	b.fail = func(call string) error {
		b.mu.Lock()
		defer b.mu.Unlock()
		if call == "PutManifest me/app 1" {
			switch writes++; writes {
			case 1:
				defer close(wrote)
			case 2:
				b.at("me/app").manifests[other.Descriptor.Digest.String()] = other.Raw
				b.at("me/app").tags["1"] = other.Descriptor.Digest.String()
			}
		}
		return nil
	}
	s.hosts["a.test"].refuseAfter("PutManifest me/app 1", wrote)
	again.run(t.Context())
	if got := b.tags()["me/app:1"]; got != other.Descriptor.Digest.String() || writes != 2 {
		t.Errorf("after %d writes b.test serves %s, want what somebody else wrote", writes, got)
	}
	if again.failedWith("b.test", usererror.NotPutBack) {
		t.Errorf("what somebody else moved is not ours to put back: %v", again.failures()["b.test"])
	}
}

// TestSlowOptionalLogin must not hold back the others, atomic or not.
func TestSlowOptionalLogin(t *testing.T) {
	no := false
	s := newSetup(t, twoPlatforms(t, "new"), "a.test/me/app:1", "b.test/me/app:1")
	s.settings.Atomic = true
	s.credential = func(r imageref.Repository) credentials.Credential {
		if r.Host == "b.test" {
			return credentials.Credential{Item: item(&no, false)}
		}
		return credentials.Credential{}
	}
	tagged := make(chan struct{})
	s.hosts["a.test"].fail = func(call string) error {
		if call == "PutManifest me/app 1" {
			close(tagged)
		}
		return nil
	}
	s.hosts["b.test"].fail = func(call string) error {
		if strings.HasPrefix(call, "Login") {
			<-tagged
		}
		return nil
	}
	s.run(t.Context())
	want := map[string]Status{"a.test/me/app:1": Pushed, "b.test/me/app:1": Pushed}
	if got := s.status(); !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestInsecureHoldsForAllOrNone(t *testing.T) {
	for name, c := range map[string]struct{ a, b, want, said bool }{
		"both": {true, true, true, true}, "one": {true, false, false, true}, "none": {false, false, false, false},
	} {
		s := newSetup(t, twoPlatforms(t, "new"), "a.test/a:1", "a.test/b:1")
		s.credential = func(r imageref.Repository) credentials.Credential {
			return credentials.Credential{Item: item(nil, map[string]bool{"a": c.a, "b": c.b}[r.Path])}
		}
		if r := newRun(s.plan(), s.deps, s.observer); r.insecure("a.test") != c.want || len(r.notes) > 0 != (c.said && !c.want) {
			t.Errorf("%s: insecure %v, notes %v", name, !c.want, r.notes)
		}
	}
}

// TestTagThatDoesNotMatchLacksNothing: releases to Docker Hub, every build to ECR, on a
// pull request, with missing-credentials: fail.
func TestTagThatDoesNotMatchLacksNothing(t *testing.T) {
	s := newSetup(t, twoPlatforms(t, "new"), "docker.io/me/app:sha-1", "b.test/me/app:sha-1")
	s.settings.FailOnMissing = true
	s.credential = func(r imageref.Repository) credentials.Credential {
		if r.Host == "docker.io" {
			return credentials.Credential{Skip: "username is empty", Item: &credentials.Item{TagsMatching: regexp.MustCompile(`^(?:v\d+)$`)}}
		}
		return credentials.Credential{}
	}
	s.run(t.Context())
	if got := s.status()["b.test/me/app:sha-1"]; got != Pushed || len(s.failures()) > 0 {
		t.Errorf("b.test is %q, failures %v", got, s.failures())
	}
}

// TestLackSeenAtLoginStopsAll: what missing-credentials: fail finds out late is an error
// before anything is sent, too.
func TestLackSeenAtLoginStopsAll(t *testing.T) {
	s := newSetup(t, twoPlatforms(t, "new"), "ghcr.io/me/app:1", "b.test/me/app:1")
	s.settings.FailOnMissing, s.untrusted = true, true
	s.credential = func(r imageref.Repository) credentials.Credential {
		return credentials.Credential{JobToken: r.Host == "ghcr.io"}
	}
	s.hosts["ghcr.io"].fail = failing("StartUpload", usererror.New(usererror.NoPushPermission, "ghcr.io", "push", "", nil))
	s.run(t.Context())
	if n := s.hosts["b.test"].count("Upload") + s.hosts["b.test"].count("PutManifest"); n > 0 {
		t.Errorf("%d writes to b.test", n)
	}
	if len(s.failures()["ghcr.io"]) == 0 {
		t.Error("ghcr.io did not fail")
	}
}

// TestImmutableReferrerTagHoldsBackNoImage: a signature's tag that the registry does not move fails
// the registry, but is no reason to leave the image untagged.
func TestImmutableReferrerTagHoldsBackNoImage(t *testing.T) {
	root := twoPlatforms(t, "new")
	signature := newManifest(t, nil, newBlob("{} ", "application/cosign"))
	s := newSetup(t, root, "a.test/me/app:1")
	s.referrers(root, source.Referrer{Manifest: signature, Tag: "sha256-" + root.Descriptor.Digest.Hex + ".sig"})
	s.hosts["a.test"].fail = failing("PutManifest me/app sha256-", registry.ErrImmutable)
	s.run(t.Context())
	if got := s.status()["a.test/me/app:1"]; got != Pushed || !s.failedWith("a.test", usererror.ImmutableTag) {
		t.Errorf("the image's tag is %s; failures: %v", got, s.failures())
	}
}
