package report

import (
	"fmt"
	"strings"
	"time"

	"github.com/multi-registry-push/multi-registry-push/internal/config"
	"github.com/multi-registry-push/multi-registry-push/internal/publish"
	"github.com/multi-registry-push/multi-registry-push/internal/redact"
	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

const (
	digest = "sha256:4f0ba1c2d3e4f5061728394a5b6c7d8e9fa0b1c2d3e4f5061728394a5b6c7d8e"
	older  = "sha256:0e9d8c7b6a5f4e3d2c1b0a9f8e7d6c5b4a39281706f5e4d3c2b1a0f9e8d7c6b5"
	other  = "sha256:7c6b5a49382716050f4e3d2c1b0a9f8e7d6c5b4a39281706f5e4d3c2b1a0f9e8"
	mb     = 1_000_000
	// manifests is what a client counts on top of the blobs: log, table and summary must not.
	manifests = 654_321
	unproven  = "push permission is unproven: a dry run opens no upload"
)

var epoch = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

// at is a time of a run, in milliseconds from its start.
func at(ms int) time.Time { return epoch.Add(time.Duration(ms) * time.Millisecond) }

func span(phase publish.Phase, from, to int) publish.Span {
	return publish.Span{Phase: phase, Start: at(from), End: at(to)}
}

func failedSpan(phase publish.Phase, from, to int) publish.Span {
	return publish.Span{Phase: phase, Start: at(from), End: at(to), Failed: true}
}

// spans are those of a registry that went through all phases, one after the other.
func spans(login, copied, tagged, verified int) []publish.Span {
	return []publish.Span{span(publish.Login, 10, login), span(publish.Copy, login, copied), span(publish.Tag, copied, tagged), span(publish.Verify, tagged, verified)}
}

func failure(ms int, code usererror.Code, message, remedy redact.Redacted) publish.Failure {
	return publish.Failure{At: at(ms), Code: code, Message: message, Remedy: remedy}
}

func pushed(reference, before string) publish.ReferenceResult {
	return publish.ReferenceResult{Reference: reference, Status: Pushed, Before: before, Now: digest}
}

func unchanged(reference string) publish.ReferenceResult {
	return publish.ReferenceResult{Reference: reference, Status: Unchanged, Before: digest, Now: digest}
}

func with(status publish.Status, reason redact.Redacted, references ...string) []publish.ReferenceResult {
	var all []publish.ReferenceResult
	for _, ref := range references {
		all = append(all, publish.ReferenceResult{Reference: ref, Status: status, Reason: reason})
	}
	return all
}

func image() []publish.ImageResult {
	return []publish.ImageResult{{Reference: "oci-archive:image.tar", Digest: digest, MediaType: "application/vnd.oci.image.index.v1+json",
		Platforms: []string{"linux/amd64", "linux/arm64"}, SizeBytes: 314_572_800}}
}

// small is a registry that gets an image of 30 MB under one tag.
func small(host string, copied int) publish.RegistryResult {
	return publish.RegistryResult{Host: host, Accounts: []redact.Redacted{`password from registry-auth (user "acme")`}, Wrote: true,
		References: []publish.ReferenceResult{pushed(host+"/acme/app:1.2.0", "")}, Start: at(10), End: at(copied + 70),
		Spans: spans(310, copied, copied+50, copied+70), Blobs: publish.BlobCounts{Uploaded: 1, Existing: 2},
		BytesExpected: 30 * mb, BytesCopied: 30 * mb, BytesReused: 2 * mb, BytesUploaded: 30*mb + manifests, Requests: 12}
}

// well: everything as it should be.
func well() publish.Result {
	images := image()
	images[0].Reference, images[0].SizeBytes, images[0].Platforms = "docker://ghcr.io/acme/build@"+digest, 32*mb, []string{"linux/amd64"}
	return publish.Result{Start: at(0), End: at(3500), Images: images, Source: publish.SourceUse{BytesRead: 32*mb + 4000, Requests: 9},
		Registries: []publish.RegistryResult{small("ghcr.io", 1400), small("docker.io", 2400), small("quay.io", 3400)}}
}

const (
	ecr    = "123456789012.dkr.ecr.eu-central-1.amazonaws.com"
	mirror = "mirror.example.com:5000"
)

// mixed: two registries get the image, one has it, one has no credentials, one refuses
// the password, one is not required and dies in the middle.
func mixed() publish.Result {
	lost := failure(13730, usererror.RegistryGaveUp, "uploading a blob to mirror.example.com:5000/app: connection reset by peer", "Run it again: what has arrived is not sent again.")
	lost.Optional = true
	return publish.Result{
		Start: at(0), End: at(17030), Images: image(),
		Skipped: []config.Skip{{Input: "tags", Line: 7, Text: "/app:1.2.0", Reason: "the registry is empty"}},
		Notes:   []publish.Note{{At: at(5000), Host: mirror, Retry: true, Text: "mirror.example.com:5000: PATCH of a blob: connection reset by peer; trying again in 2 s"}},
		Registries: []publish.RegistryResult{
			{Host: "ghcr.io", Accounts: []redact.Redacted{`github-token (user "octocat")`}, Wrote: true,
				References: []publish.ReferenceResult{pushed("ghcr.io/acme/app:1.2.0", ""), pushed("ghcr.io/acme/app:latest", older)},
				Start:      at(10), End: at(13230), Spans: spans(320, 13100, 13190, 13230), Blobs: publish.BlobCounts{Uploaded: 1},
				BytesExpected: 314 * mb, BytesCopied: 314 * mb, BytesUploaded: 314*mb + manifests, Requests: 31},
			{Host: "docker.io", Accounts: []redact.Redacted{`password from registry-auth (user "acme")`}, Wrote: true,
				References: append([]publish.ReferenceResult{pushed("docker.io/acme/app:1.2.0", ""), pushed("docker.io/acme/app:latest", older)},
					publish.ReferenceResult{Reference: "docker.io/acme/app:edge", Status: Skipped, SkipKind: publish.SkipTagsMatching, Reason: `tags-matching is v?\d+\.\d+\.\d+|latest`}),
				Start: at(10), End: at(17030), Spans: spans(560, 16730, 16940, 17030), Blobs: publish.BlobCounts{Uploaded: 1, Mounted: 1},
				BytesExpected: 300 * mb, BytesCopied: 300 * mb, BytesReused: 14 * mb, BytesUploaded: 300*mb + manifests, Requests: 40, Retries: 1,
				RateLimit: &publish.RateLimit{Limit: 200, Remaining: 187, Window: 6 * time.Hour}},
			{Host: "quay.io", Accounts: []redact.Redacted{`password from registry-auth (user "acme+robot")`},
				References: with(Failed, "", "quay.io/acme/app:1.2.0"), Start: at(10), End: at(390), Spans: []publish.Span{failedSpan(publish.Login, 10, 390)},
				Failures: []publish.Failure{failure(390, usererror.WrongCredentials, "logging in to quay.io: 401 UNAUTHORIZED: could not find robot", "Check the user name, and whether the token has expired.")}},
			{Host: ecr, Skip: "aws-role is empty", SkipKind: publish.SkipCredentials, References: with(Skipped, "aws-role is empty", ecr+"/app:1.2.0")},
			{Host: "registry.gitlab.com", Accounts: []redact.Redacted{`password from registry-auth (user "ci")`},
				References: []publish.ReferenceResult{unchanged("registry.gitlab.com/acme/app:1.2.0")}, Start: at(10), End: at(600),
				Spans: []publish.Span{span(publish.Login, 10, 470), span(publish.Verify, 560, 600)}, Blobs: publish.BlobCounts{Existing: 2}, BytesReused: 314 * mb, Requests: 6},
			{Host: mirror, Accounts: []redact.Redacted{"anonymous"}, Optional: true, References: with(Failed, "", mirror+"/app:1.2.0"), Failures: []publish.Failure{lost},
				Start: at(10), End: at(13730), Spans: []publish.Span{span(publish.Login, 10, 340), failedSpan(publish.Copy, 560, 13730)},
				BytesExpected: 314 * mb, BytesCopied: 4 * mb, BytesUploaded: 5 * mb, Requests: 22, Retries: 7},
		},
	}
}

// dry: a dry run with one registry up to date, one that lacks image and repository, and
// one that would refuse.
func dry() publish.Result {
	var refs []publish.ReferenceResult
	for i := range 6 {
		ref := publish.ReferenceResult{Reference: fmt.Sprintf("ghcr.io/acme/app:%d", i+1), Status: Planned}
		if i == 5 {
			ref.Before, ref.Now = older, older
		}
		refs = append(refs, ref)
	}
	images := image()
	images[0].Reference, images[0].SizeBytes, images[0].Platforms = "./image.tar", 30*mb, nil
	immutable := "docker.io/acme/app:6 is there already as " + redact.Redacted(older) + ", and immutable-tags matches it"
	return publish.Result{Start: at(0), End: at(2000), DryRun: true, Images: images, Registries: []publish.RegistryResult{
		{Host: "ghcr.io", References: refs, Start: at(0), End: at(2000), Spans: []publish.Span{span(publish.Login, 0, 1000), span(publish.Copy, 1000, 2000)},
			Blobs: publish.BlobCounts{Missing: 3, Existing: 1}, BytesMissing: 29 * mb, BytesReused: 1 * mb, Unproven: unproven, ToCreate: []string{"ghcr.io/acme/app"}, Requests: 8},
		{Host: "quay.io", References: []publish.ReferenceResult{unchanged("quay.io/acme/app:1")}, Start: at(0), End: at(2000),
			Spans: []publish.Span{span(publish.Login, 0, 1000), span(publish.Copy, 1000, 2000)}, Blobs: publish.BlobCounts{Existing: 4}, BytesReused: 30 * mb, Requests: 8},
		{Host: "docker.io", References: with(Failed, immutable, "docker.io/acme/app:6"), Start: at(0), End: at(1500), Spans: []publish.Span{span(publish.Login, 0, 1000)},
			Failures: []publish.Failure{failure(1500, usererror.ImmutableTag, "docker.io/acme/app:6 is there already as "+redact.Redacted(older)+", and immutable-tags matches it", "Use a new version; an immutable tag is never moved.")}},
	}}
}

// nothing: all secrets are unset.
func nothing() publish.Result {
	return publish.Result{Start: at(0), End: at(20), Skipped: []config.Skip{{Input: "tags", Line: 3, Text: "quay.io//app:main", Host: "quay.io", Reason: "has an empty part"}}, Registries: []publish.RegistryResult{
		{Host: "docker.io", Skip: "username is empty", SkipKind: publish.SkipCredentials, References: with(Skipped, "username is empty", "docker.io/acme/app:1")},
		{Host: "registry.example.com", Skip: "username is empty", SkipKind: publish.SkipCredentials, References: with(Skipped, "username is empty", "registry.example.com/acme/app:1")},
		{Host: "quay.io", SkipKind: publish.SkipUnconfigured, Skip: "tags, line 3, quay.io//app:main has an empty part; a variable in it is probably unset"},
	}}
}

// fork: a pull request from a fork, whose secrets are empty and whose token may not push.
func fork() publish.Result {
	reason := redact.Redacted("the job's own token may not push from a pull request of a fork")
	return publish.Result{Start: at(0), End: at(1000), Untrusted: true, Registries: []publish.RegistryResult{
		{Host: "docker.io", Skip: "username is empty", SkipKind: publish.SkipCredentials, References: with(Skipped, "username is empty", "docker.io/acme/app:pr-7")},
		{Host: "ghcr.io", Skip: reason, SkipKind: publish.SkipFork, Accounts: []redact.Redacted{"github-token"}, References: with(Skipped, reason, "ghcr.io/acme/app:pr-7"),
			Start: at(0), End: at(1000), Spans: []publish.Span{span(publish.Login, 0, 1000)}},
	}}
}

// broken: the source cannot be read.
func broken() publish.Result {
	lost := failure(1000, usererror.SourceNotFound, "source ./image.tar: there is no such file", "Check the path or reference; a container action sees only the workspace and the runner's temporary folder.")
	return publish.Result{Start: at(0), End: at(1000), Images: []publish.ImageResult{{Reference: "./image.tar", Failure: &lost}}, Registries: []publish.RegistryResult{
		{Host: "ghcr.io", References: with(Failed, publish.ReasonSource, "ghcr.io/acme/app:1"), Start: at(0), End: at(1000), Spans: []publish.Span{span(publish.Login, 0, 1000)}},
	}}
}

// stopped: cancelled in the middle, with one registry done.
func stopped() publish.Result {
	images := image()
	images[0].Reference, images[0].SizeBytes, images[0].Platforms = "./image.tar", 30*mb, nil
	return publish.Result{Start: at(0), End: at(3000), Cancelled: true, Images: images, Registries: []publish.RegistryResult{
		{Host: "ghcr.io", References: []publish.ReferenceResult{pushed("ghcr.io/acme/app:1", "")}, Wrote: true, Start: at(0), End: at(1000), Spans: []publish.Span{span(publish.Copy, 0, 1000)},
			Blobs: publish.BlobCounts{Uploaded: 1}, BytesExpected: 1 * mb, BytesCopied: 1 * mb},
		{Host: "quay.io", References: with(Failed, publish.ReasonCancelled, "quay.io/acme/app:1"), Wrote: true, Start: at(0), End: at(2000), Spans: []publish.Span{failedSpan(publish.Copy, 0, 2000)},
			BytesExpected: 30 * mb, BytesCopied: 2 * mb},
	}}
}

// heldBack: atomic, and one password is wrong.
func heldBack() publish.Result {
	reason := redact.Redacted("atomic is on, and quay.io failed [atomic-held-back]")
	held := func(host string) publish.RegistryResult {
		return publish.RegistryResult{Host: host, References: with(HeldBack, reason, host+"/acme/app:1.2.0", host+"/acme/app:latest"),
			Start: at(10), End: at(1200), Spans: []publish.Span{failedSpan(publish.Login, 10, 1200)}, Requests: 4}
	}
	return publish.Result{Start: at(0), End: at(1300), Images: image(), Registries: []publish.RegistryResult{
		held("ghcr.io"), held("docker.io"),
		{Host: "quay.io", References: with(Failed, "", "quay.io/acme/app:1.2.0", "quay.io/acme/app:latest"), Start: at(10), End: at(1100), Spans: []publish.Span{failedSpan(publish.Login, 10, 1100)},
			Failures: []publish.Failure{failure(1100, usererror.WrongCredentials, `logging in to quay.io: user "acme+robot" of registry-auth, line 9, was refused: wrong password or expired token`, "Check the user name, and whether the token has expired.")}},
	}}
}

// rolledBack: atomic, a tag is refused at last, and of those that had moved one cannot be
// put back.
func rolledBack() publish.Result {
	back := redact.Redacted("put back, because atomic is on, and docker.io failed [atomic-held-back]")
	well := small("ghcr.io", 1400)
	well.References = []publish.ReferenceResult{{Reference: "ghcr.io/acme/app:1.2.0", Status: HeldBack, Before: older, Now: older, Reason: back}}
	stuck := small("quay.io", 1600)
	stuck.References = []publish.ReferenceResult{{Reference: "quay.io/acme/app:1.2.0", Status: Failed, Before: older, Now: digest, Reason: "putting quay.io/acme/app:1.2.0 back to " + older + ": writing tag 1.2.0: 405 UNSUPPORTED [tag-not-put-back]"}}
	stuck.Failures = []publish.Failure{failure(2600, usererror.NotPutBack, "putting quay.io/acme/app:1.2.0 back to "+older+": writing tag 1.2.0: 405 UNSUPPORTED", "Set quay.io/acme/app:1.2.0 to "+older+" by hand; it serves "+digest+".")}
	refused := small("docker.io", 2000)
	refused.References = with(Failed, "", "docker.io/acme/app:1.2.0")
	refused.Failures = []publish.Failure{failure(2400, usererror.TagRefused, "docker.io/acme/app:1.2.0 was not tagged: writing tag 1.2.0: 403 DENIED", "Read the registry's answer in the message.")}
	return publish.Result{Start: at(0), End: at(3000), Images: image(), Registries: []publish.RegistryResult{well, refused, stuck}}
}

// optional: only a registry with required: false fails.
func optional() publish.Result {
	r := well()
	g := &r.Registries[2]
	g.Optional, g.References, g.Wrote = true, with(Failed, "", "quay.io/acme/app:1.2.0"), false
	g.Spans = []publish.Span{failedSpan(publish.Login, 10, 2000)}
	g.Start, g.End, g.BytesCopied, g.BytesExpected, g.BytesReused, g.Blobs = at(10), at(2000), 0, 0, 0, publish.BlobCounts{}
	g.Failures = []publish.Failure{failure(2000, usererror.Unreachable, "logging in to quay.io: connection refused", "Check the host and port.")}
	g.Failures[0].Optional = true
	return r
}

// several: three images, of which one is broken.
func several() publish.Result {
	lost := failure(900, usererror.SourceBroken, "source ./docs.tar: it ends in the middle of a blob", "Build the image again, and check that the step that wrote it had finished.")
	r := publish.Result{Start: at(0), End: at(4000), Images: []publish.ImageResult{
		{Name: "api", Reference: "oci-archive:api.tar", Digest: digest, Platforms: []string{"linux/amd64"}, SizeBytes: 30 * mb},
		{Name: "web", Reference: "ghcr.io/acme/build@" + other, Digest: other, Platforms: []string{"linux/amd64", "linux/arm64"}, SizeBytes: 60 * mb},
		{Name: "docs", Reference: "./docs.tar", Failure: &lost},
	}, Source: publish.SourceUse{BytesRead: 60 * mb, Requests: 11}}
	for i, host := range []string{"ghcr.io", "docker.io"} {
		g := small(host, 2000+1000*i)
		g.References = []publish.ReferenceResult{
			pushed(host+"/acme/api:1.2.0", ""), pushed(host+"/acme/api:latest", older),
			{Image: 1, Reference: host + "/acme/web:1.2.0", Status: Pushed, Now: other},
			{Image: 2, Reference: host + "/acme/docs:1.2.0", Status: Failed, Reason: publish.ReasonSource},
		}
		r.Registries = append(r.Registries, g)
	}
	return r
}

// merged: one image of two parts, with its referrers, into a repository that is created.
func merged() publish.Result {
	r := well()
	r.Images[0].Reference = "merged from 2 sources"
	r.Images[0].Parts = []string{"oci-archive:amd64.tar", "ghcr.io/acme/build@" + other}
	r.Images[0].PartUses = []publish.SourceUse{{}, {BytesRead: 32004000, Requests: 9}}
	r.Images[0].Platforms = []string{"linux/amd64", "linux/arm64"}
	r.Registries[0].Referrers = publish.ReferrerCounts{Copied: 2, PassedOver: 1}
	r.Registries[1].Referrers = publish.ReferrerCounts{Copied: 2, PassedOver: 1}
	r.Registries[2].Created = []string{"quay.io/acme/app"}
	r.Registries[2].Repaired = 1
	return r
}

// many: 16 registries, each with 20 tags; 5 hosts are dead for one reason, one refuses.
func many() publish.Result {
	r := publish.Result{Start: at(0), End: at(42000), Images: image()}
	for i := range 16 {
		host := fmt.Sprintf("registry-%02d.example.com", i+1)
		g := small(host, 3000+2000*i)
		g.References = nil
		for tag := range 20 {
			g.References = append(g.References, pushed(fmt.Sprintf("%s/acme/app:1.2.%d", host, tag), ""))
		}
		var failed publish.Failure
		switch {
		case i%3 == 1:
			failed = failure(9000, usererror.Unreachable, redact.Redacted("connecting to "+host+": connection refused"), "Check the host and port, and whether the registry is up.")
		case i == 9:
			failed = failure(800, usererror.NoPushPermission, redact.Redacted(host+"/acme/app: 403 DENIED"), "Give the account or token write access to the repository.")
		}
		if failed.Code != "" {
			for tag := range g.References {
				g.References[tag].Status, g.References[tag].Now = Failed, ""
			}
			g.Failures, g.Spans, g.End = []publish.Failure{failed}, []publish.Span{failedSpan(publish.Login, 10, int(failed.At.Sub(epoch).Milliseconds()))}, failed.At
			g.BytesCopied, g.BytesReused, g.Blobs, g.Wrote, g.BytesExpected = 0, 0, publish.BlobCounts{}, false, 0
			for try := range 4 {
				r.Notes = append(r.Notes, publish.Note{At: at(1000 * (try + 1)), Host: host, Retry: true, Text: redact.Redacted(fmt.Sprintf("connecting to %s: connection refused; trying again in %d s", host, try+1))})
			}
		}
		r.Registries = append(r.Registries, g)
	}
	return r
}

// byDigest: no tag is written.
func byDigest() publish.Result {
	r := well()
	for i := range r.Registries {
		r.Registries[i].References[0].Reference = r.Registries[i].Host + "/acme/app@" + digest
	}
	return r
}

// distrusted: a provider refuses the job's token, and the remedy is a block to paste.
func distrusted() publish.Result {
	remedy := redact.Redacted("The job's token has these claims:\n\n  iss  https://token.actions.githubusercontent.com\n  sub  repo:acme/app:ref:refs/heads/main\n  aud  sts.amazonaws.com\n\n" +
		"A role that trusts it has this condition:\n\n  \"StringEquals\": {\n    \"token.actions.githubusercontent.com:sub\": \"repo:acme/app:ref:refs/heads/main\"\n  }")
	r := well()
	g := &r.Registries[1]
	g.Host, g.References, g.Wrote = ecr, with(Failed, "", ecr+"/app:1.2.0"), false
	g.Spans, g.End = []publish.Span{failedSpan(publish.Login, 10, 400)}, at(400)
	g.BytesCopied, g.BytesExpected, g.BytesReused, g.Blobs = 0, 0, 0, publish.BlobCounts{}
	g.Failures = []publish.Failure{failure(400, usererror.OIDCRefused, redact.Redacted("assuming arn:aws:iam::123456789012:role/push for "+ecr+": AccessDenied: not authorized"), remedy)}
	return r
}

// existing: skip-existing, and a version that is there already in one registry, where nothing
// else was asked for, and with latest in another.
func existing() publish.Result {
	r := well()
	for _, i := range []int{0, 2} {
		host := r.Registries[i].Host
		reason := redact.Redacted(host + "/acme/app:1.2.0 is there already, at " + older)
		refs := with(Skipped, reason, host+"/acme/app:1.2.0", host+"/acme/app:latest")
		for j := range refs {
			refs[j].SkipKind = publish.SkipExisting
		}
		r.Registries[i] = publish.RegistryResult{Host: host, Accounts: r.Registries[i].Accounts, References: refs, Start: at(10), End: at(400),
			Spans: spans(310, 310, 310, 310)[:1], Requests: 4}
		r.Notes = append(r.Notes, publish.Note{At: at(390), Host: host, Text: reason + redact.Redacted(": the image is left out in "+host+"/acme/app, all its tags (skip-existing)")})
	}
	r.Registries[2].References = append(r.Registries[2].References, pushed("quay.io/acme/tools:1.2.0", ""))
	r.Registries[2].Wrote = true
	return r
}

// long: hosts and repositories with long names, in a run that is over in less than a second.
func long() publish.Result {
	const deep = "europe-west4-docker.pkg.dev"
	refs := []publish.ReferenceResult{
		pushed(ecr+"/platform-engineering/continuous-delivery/authentication-service:2026.11.26-build.4711", ""),
		pushed(ecr+"/platform-engineering/continuous-delivery/authentication-service:latest", older),
	}
	project := deep + "/acme-production-123456/containers/platform-engineering/authentication-service:2026.11.26-build.4711"
	refused := redact.Redacted(strings.TrimSuffix(project, ":2026.11.26-build.4711") + `: starting an upload: 403 DENIED: Permission "artifactregistry.repositories.uploadArtifacts" denied on resource "projects/acme-production-123456/locations/europe-west4/repositories/containers" (or it may not exist)`)
	return publish.Result{Start: at(0), End: at(870), Images: image(), Registries: []publish.RegistryResult{
		{Host: ecr, Accounts: []redact.Redacted{"aws-role"}, References: refs, Wrote: true, Start: at(5), End: at(870), Spans: spans(300, 700, 800, 870),
			Blobs: publish.BlobCounts{Uploaded: 1, Existing: 3}, BytesExpected: 900, BytesCopied: 900, BytesReused: 314 * mb, Requests: 12},
		{Host: deep, Accounts: []redact.Redacted{"gcp-provider"}, References: with(Failed, "", project), Start: at(5), End: at(500), Requests: 4,
			Spans:    []publish.Span{span(publish.Login, 5, 400), failedSpan(publish.Copy, 400, 500)},
			Failures: []publish.Failure{failure(500, usererror.NoPushPermission, refused, "Give the account roles/artifactregistry.writer on the repository.")}},
	}}
}

func scenarios() map[string]publish.Result {
	return map[string]publish.Result{
		"well": well(), "mixed": mixed(), "dry": dry(), "nothing": nothing(), "fork": fork(), "broken": broken(), "stopped": stopped(), "heldback": heldBack(),
		"rolledback": rolledBack(), "optional": optional(), "several": several(), "merged": merged(), "many": many(), "bydigest": byDigest(), "distrusted": distrusted(), "existing": existing(), "long": long(),
	}
}
