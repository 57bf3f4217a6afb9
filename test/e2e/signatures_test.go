package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/multi-registry-push/multi-registry-push/test/images"
	"github.com/multi-registry-push/multi-registry-push/test/servers"
	"github.com/multi-registry-push/multi-registry-push/test/servers/distribution"
)

// A destination's signature that the source's tag lacks is kept, and said; one that the source's
// holds, too, gives way, unless the tag is immutable. What others listed as referrers stays, and
// both keys verify.
func TestSignedWithTwoKeys(t *testing.T) {
	image := images.Build(images.Options{Single: true, LayerBytes: 1 << 10})
	ours, theirs := newKeys(t), newKeys(t)
	tag := "sha256-" + image.Root.Digest.Hex + ".sig"
	one, other := ours.signature(t, image.Root), theirs.signature(t, image.Root)
	for name, test := range map[string]struct {
		source, there []images.Layer
		immutable     string
		kept          int // signatures that a destination keeps
		keys          []keys
	}{
		"another key":                       {[]images.Layer{one}, []images.Layer{other}, "", 1, []keys{theirs}},
		"one of ours and another":           {[]images.Layer{one}, []images.Layer{one, other}, "", 1, []keys{ours, theirs}},
		"one of those that we carry":        {[]images.Layer{one, other}, []images.Layer{other}, "", 0, []keys{ours, theirs}},
		"one of ours, and an immutable tag": {[]images.Layer{one, other}, []images.Layer{other}, "sha256-.*", 1, []keys{theirs}},
	} {
		t.Run(name, func(t *testing.T) {
			source := servers.Olareg(t, servers.Options{Auth: servers.Token})
			image.Push(t, source.Reference("acme/built", "1"), source.Inspect()...)
			images.Artifact(nil, "", test.source...).Push(t, source.Reference("acme/built", tag), source.Inspect()...)
			bundle := images.Artifact(&image.Root, sigstoreBundle, ours.bundle(t, image.Root))
			bundle.Push(t, source.Host+"/acme/built@"+bundle.Digest(), source.Inspect()...)
			had := images.Artifact(nil, "", test.there...)
			listedThere := images.Artifact(&image.Root, sigstoreBundle, theirs.bundle(t, image.Root))

			j := job{source: source.Reference("acme/built", "1"), auth: source.Item(0), clock: newClock(), inputs: map[string]string{
				"referrers": "true", "immutable-tags": test.immutable, "dry-run": "true",
			}}
			to := kinds(t, servers.Options{Auth: servers.Token})
			for _, d := range to {
				image.Push(t, d.Host+"/acme/app@"+image.Digest(), d.Inspect()...)
				had.Push(t, d.Reference("acme/app", tag), d.Inspect()...)
				listedThere.Push(t, d.Host+"/acme/app@"+listedThere.Digest(), d.Inspect()...)
				j.tags, j.auth = append(j.tags, d.Reference("acme/app", "1")), j.auth+d.Item(0)
			}
			for _, dry := range []string{"true", "false"} {
				j.inputs["dry-run"] = dry
				o := j.run(t).exits(0)
				for at, d := range to {
					r := o.registry(d.Host).Referrers
					if r.Kept != test.kept || r.Copied == 0 {
						t.Errorf("dry-run=%s, %s: %+v", dry, at, r)
					}
					if warned := strings.Contains(o.stdout, "::warning title="+strings.ReplaceAll(d.Host, ":", "%3A")); warned != (test.kept > 0) || warned && !strings.Contains(o.stdout, tag) {
						t.Errorf("dry-run=%s, %s: warned: %v\n%s", dry, at, warned, o.stdout)
					}
				}
			}
			for at, d := range to {
				image.Compare(t, d.Reference("acme/app", "1"), d.Inspect()...)
				got, err := images.Fetch(d.Reference("acme/app", tag), d.Inspect()...)
				if err != nil {
					t.Fatalf("%s: %v", at, err)
				}
				if kept := got.Digest() == had.Digest(); kept != (test.kept > 0) {
					t.Errorf("%s: the destination's signatures are kept: %v", at, kept)
				}
				for _, k := range test.keys {
					if !k.signed(t, got, image.Root) {
						t.Errorf("%s: a key does not verify any more", at)
					}
				}
				there := listed(t, d, "acme/app", image.Root)
				if !there[bundle.Root.Digest] || !there[listedThere.Root.Digest] {
					t.Errorf("%s: the list of referrers is not merged: %v", at, there)
				}
			}
		})
	}
}

// A destination's signature is not written over unseen: neither where the registry does not tell what
// its tag serves, nor, where the registry honours conditions, when it comes between our look and our
// write.
func TestSignatureIsNotOverwrittenUnseen(t *testing.T) {
	image := images.Build(images.Options{Single: true, LayerBytes: 1 << 10})
	ours, theirs := newKeys(t), newKeys(t)
	tag := "sha256-" + image.Root.Digest.Hex + ".sig"
	source := servers.Olareg(t, servers.Options{})
	image.Push(t, source.Reference("acme/built", "1"), source.Inspect()...)
	images.Artifact(nil, "", ours.signature(t, image.Root)).Push(t, source.Reference("acme/built", tag), source.Inspect()...)
	had := images.Artifact(nil, "", theirs.signature(t, image.Root))
	for _, atomic := range []string{"false", "true"} {
		for _, c := range []struct {
			name, method string
			status       int // of the answer about the tag; 0: somebody signs before it
			exits        int
			says         string
		}{
			{"while we write", "PUT", 0, 0, "is kept as it is"},
			{"the tag cannot be read", "GET|HEAD", http.StatusForbidden, 1, "does not tell whether this tag is there"},
		} {
			t.Run(c.name+", atomic="+atomic, func(t *testing.T) {
				d := servers.Olareg(t, servers.Options{Preconditions: true})
				sign := func(*http.Request) { had.Push(t, d.Reference("acme/app", tag), d.Inspect()...) }
				fault := servers.Fault{Match: servers.Matching(c.method, "/manifests/"+tag+"$"), Pass: true, Reached: sign}
				if c.status != 0 {
					sign(nil)
					fault = servers.Fault{Match: fault.Match, Status: c.status, Count: servers.Forever}
				}
				met := d.Faults.Add(fault)
				j := job{source: source.Reference("acme/built", "1"), auth: source.Item(0) + d.Item(0), tags: []string{d.Reference("acme/app", "1")},
					inputs: map[string]string{"referrers": "true", "atomic": atomic}, clock: newClock()}
				j.run(t).exits(c.exits).says(c.says)
				d.Faults.Clear()
				if got := images.Digest(t, d.Reference("acme/app", tag), d.Inspect()...); got != had.Digest() || met.Hits() == 0 {
					t.Errorf("%s serves %s, and not their signature", tag, got)
				}
				if got := images.Digest(t, d.Reference("acme/app", "1"), d.Inspect()...); (got == image.Digest()) != (c.exits == 0) {
					t.Errorf("1 serves %q", got)
				}
			})
		}
	}
}

// Four jobs attach something to one image at once, where a list under a tag is all there is: it
// ends with all of them, or the job whose is missing says so.
func TestReferrersOfFourJobs(t *testing.T) {
	image := images.Build(images.Options{Single: true, LayerBytes: 1 << 10})
	// What others write seconds after they have looked takes away what nobody looks for any more.
	patient := []time.Duration{time.Second, 4 * time.Second, 4 * time.Second, 4 * time.Second, 4 * time.Second}
	for kind, d := range map[string]*servers.Server{
		"Distribution 3":             distribution.Start(t, servers.Options{}),
		"Distribution 2.8":           servers.Distribution2(t, servers.Options{}),
		"olareg without the API":     servers.Olareg(t, servers.Options{NoReferrersAPI: true}),
		"olareg that knows If-Match": servers.Olareg(t, servers.Options{NoReferrersAPI: true, Preconditions: true}),
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel() // it waits between looks
			var jobs [4]job
			var artifacts [4]*images.Image
			for i := range jobs {
				source := servers.Olareg(t, servers.Options{})
				image.Push(t, source.Reference("acme/built", "1"), source.Inspect()...)
				artifacts[i] = images.Artifact(&image.Root, "application/vnd.test", images.Layer{MediaType: "text/plain", Content: fmt.Append(nil, i)})
				artifacts[i].Push(t, source.Host+"/acme/built@"+artifacts[i].Digest(), source.Inspect()...)
				jobs[i] = job{source: source.Reference("acme/built", "1"), auth: source.Item(0) + d.Item(0),
					tags: []string{d.Reference("acme/app", fmt.Sprint("1.", i))}, inputs: map[string]string{"referrers": "true"}, beside: true, pauses: patient}
			}
			var outcomes [4]outcome
			var all sync.WaitGroup
			for i, j := range jobs {
				all.Go(func() { outcomes[i] = j.run(t) })
			}
			all.Wait()
			there := listed(t, d, "acme/app", image.Root)
			for i, o := range outcomes {
				said := o.status != 0 && strings.Contains(o.text(), "does not name what was added")
				if !there[artifacts[i].Root.Digest] && !said {
					t.Errorf("job %d: its referrer is lost without a word (status %d)\n%s", i, o.status, o.text())
				}
			}
		})
	}
}
