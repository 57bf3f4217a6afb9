package report

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

const (
	digest = "sha256:4f0ba1c2d3e4f5061728394a5b6c7d8e9fa0b1c2d3e4f5061728394a5b6c7d8e"
	older  = "sha256:0e9d8c7b6a5f4e3d2c1b0a9f8e7d6c5b4a39281706f5e4d3c2b1a0f9e8d7c6b5"
)

var epoch = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

// play is a run that is told event by event, on a clock of its own.
type play struct {
	at      time.Duration
	record  *Record
	printer *Printer
	log     strings.Builder
	lines   []Line
}

func newPlay() *play {
	p := &play{}
	p.record = NewRecord(func() time.Time { return epoch.Add(p.at) })
	p.printer = NewPrinter(p.record, func(l Line) {
		p.lines = append(p.lines, l)
		p.log.WriteString(kindNames[l.Kind])
		if l.Title != "" {
			p.log.WriteString("[" + l.Title + "] ")
		}
		p.log.WriteString(strings.ReplaceAll(l.Text, "\n", "\n      | ") + "\n")
	}, PrinterOptions{Progress: true, Fold: true})
	return p
}

var kindNames = map[Kind]string{Text: "", GroupStart: "GROUP ", GroupEnd: "END", NoticeLine: "NOTICE", WarningLine: "WARNING", ErrorLine: "ERROR", DebugLine: "DEBUG "}

// after moves the clock and returns the time to put into an event.
func (p *play) after(d time.Duration) At {
	p.at += d
	return At{epoch.Add(p.at)}
}

func (p *play) now() At { return p.after(0) }

func (p *play) tell(events ...Event) {
	for _, e := range events {
		p.record.Apply(e)
		p.printer.Print(e)
	}
}

func (p *play) tick() { p.printer.Tick(epoch.Add(p.at)) }

const mb = 1_000_000

// manifests is what a client counts on top of the blobs: log, table and summary must not.
const manifests = 654_321

// mixed: two registries get the image, one has it, one has no credentials, one refuses
// the password, one is not required and dies in the middle.
func mixed() *play {
	p := newPlay()
	p.tell(
		Started{At: p.now()},
		PhaseStarted{p.now(), Plan},
		RegistryPlanned{At: p.now(), Registry: "ghcr.io", References: []string{"ghcr.io/acme/app:1.2.0", "ghcr.io/acme/app:latest"}, Accounts: []string{`github-token (user "octocat")`}},
		RegistryPlanned{At: p.now(), Registry: "docker.io", References: []string{"docker.io/acme/app:1.2.0", "docker.io/acme/app:latest"}, Accounts: []string{`token from registry-auth (user "acme")`}},
		TagsSkipped{p.now(), "docker.io", []string{"docker.io/acme/app:edge"}, `tags-matching is v?\d+\.\d+\.\d+|latest`},
		RegistryPlanned{At: p.now(), Registry: "quay.io", References: []string{"quay.io/acme/app:1.2.0"}, Accounts: []string{`password from registry-auth (user "acme+robot")`}},
		RegistryPlanned{At: p.now(), Registry: "123456789012.dkr.ecr.eu-central-1.amazonaws.com", References: []string{"123456789012.dkr.ecr.eu-central-1.amazonaws.com/app:1.2.0"}, Skip: "aws-role is empty"},
		RegistryPlanned{At: p.now(), Registry: "registry.gitlab.com", References: []string{"registry.gitlab.com/acme/app:1.2.0"}, Accounts: []string{`password from registry-auth (user "ci")`}},
		RegistryPlanned{At: p.now(), Registry: "mirror.example.com:5000", References: []string{"mirror.example.com:5000/app:1.2.0"}, Accounts: []string{"anonymous"}, Optional: true},
		LineSkipped{p.now(), "tags", 7, "/app:1.2.0", "the registry is empty"},
		PhaseStarted{p.after(10 * time.Millisecond), Login},
	)
	for _, host := range []string{"ghcr.io", "docker.io", "quay.io", "registry.gitlab.com", "mirror.example.com:5000"} {
		p.tell(RegistryPhase{p.now(), host, Login, false, false})
	}
	p.tell(
		RegistryPhase{p.after(310 * time.Millisecond), "ghcr.io", Login, true, false},
		RegistryPhase{p.after(20 * time.Millisecond), "mirror.example.com:5000", Login, true, false},
		RegistryFailed{At: p.after(50 * time.Millisecond), Registry: "quay.io", Err: usererror.New(usererror.WrongCredentials, "quay.io", "logging in to quay.io", "", errors.New("401 UNAUTHORIZED: could not find robot"))},
		RegistryPhase{p.now(), "quay.io", Login, true, false},
		RegistryPhase{p.after(80 * time.Millisecond), "registry.gitlab.com", Login, true, false},
		RegistryPhase{p.after(90 * time.Millisecond), "docker.io", Login, true, false},
		SourceKnown{p.now(), "oci-archive:image.tar", digest, "application/vnd.oci.image.index.v1+json", []string{"linux/amd64", "linux/arm64"}, 314_572_800},
		PhaseStarted{p.now(), Copy},
	)
	for _, host := range []string{"ghcr.io", "docker.io", "registry.gitlab.com", "mirror.example.com:5000"} {
		p.tell(RegistryPhase{p.now(), host, Copy, false, false})
	}
	p.tell(
		RegistryPhase{p.now(), "registry.gitlab.com", Copy, true, false},
		PhaseStarted{p.now(), Tag},
		RegistryPhase{p.now(), "registry.gitlab.com", Tag, false, false},
		TagDone{p.after(40 * time.Millisecond), "registry.gitlab.com", "registry.gitlab.com/acme/app:1.2.0", Unchanged, digest, digest, ""},
		RegistryPhase{p.now(), "registry.gitlab.com", Tag, true, false},
		RegistryUse{At: p.now(), Registry: "registry.gitlab.com", Requests: 6},
		Expected{p.now(), "ghcr.io", 314 * mb}, Expected{p.now(), "docker.io", 314 * mb}, Expected{p.now(), "mirror.example.com:5000", 314 * mb},
	)
	for range 12 {
		p.tell(Sent{p.after(time.Second), "ghcr.io", 25 * mb}, Sent{p.now(), "docker.io", 20 * mb})
		if p.at < 5*time.Second {
			p.tell(Sent{p.now(), "mirror.example.com:5000", 1 * mb})
		}
		p.tick()
	}
	p.tell(
		Sent{p.after(500 * time.Millisecond), "ghcr.io", 14 * mb},
		BlobDone{At: p.now(), Start: epoch, Registry: "ghcr.io", Repository: "acme/app", Digest: older, SizeBytes: 314 * mb, How: Uploaded},
		ManifestDone{p.now(), "ghcr.io", "acme/app", digest, true},
		RegistryPhase{p.now(), "ghcr.io", Copy, true, false},
		RegistryPhase{p.now(), "ghcr.io", Tag, false, false},
		TagDone{p.after(60 * time.Millisecond), "ghcr.io", "ghcr.io/acme/app:1.2.0", Pushed, "", digest, ""},
		TagDone{p.after(30 * time.Millisecond), "ghcr.io", "ghcr.io/acme/app:latest", Pushed, older, digest, ""},
		RegistryPhase{p.now(), "ghcr.io", Tag, true, false},
		PhaseStarted{p.now(), Verify},
		RegistryPhase{p.now(), "ghcr.io", Verify, false, false},
		RegistryPhase{p.after(40 * time.Millisecond), "ghcr.io", Verify, true, false},
		RegistryUse{At: p.now(), Registry: "ghcr.io", BytesUploaded: 314*mb + manifests, Requests: 31},
		Notice{At: p.now(), Registry: "mirror.example.com:5000", Text: "PATCH of a blob: connection reset by peer; trying again in 2 s"},
		RegistryFailed{At: p.after(500 * time.Millisecond), Registry: "mirror.example.com:5000", Optional: true, Err: usererror.New(usererror.RegistryGaveUp, "mirror.example.com:5000", "uploading a blob to mirror.example.com:5000/app", "", errors.New("connection reset by peer"))},
		RegistryPhase{p.now(), "mirror.example.com:5000", Copy, true, false},
		RegistryUse{At: p.now(), Registry: "mirror.example.com:5000", BytesUploaded: 5 * mb, Requests: 22, Retries: 7},
	)
	for range 3 {
		p.tell(Sent{p.after(time.Second), "docker.io", 20 * mb})
		p.tick()
	}
	p.tell(
		BlobDone{At: p.now(), Start: epoch, Registry: "docker.io", Repository: "acme/app", Digest: older, SizeBytes: 300 * mb, How: Uploaded},
		BlobDone{At: p.now(), Start: epoch, Registry: "docker.io", Repository: "acme/app", Digest: digest, SizeBytes: 14 * mb, How: Mounted},
		RegistryPhase{p.now(), "docker.io", Copy, true, false},
		RegistryPhase{p.now(), "docker.io", Tag, false, false},
		TagDone{p.after(120 * time.Millisecond), "docker.io", "docker.io/acme/app:1.2.0", Pushed, "", digest, ""},
		TagDone{p.after(90 * time.Millisecond), "docker.io", "docker.io/acme/app:latest", Pushed, older, digest, ""},
		RegistryPhase{p.now(), "docker.io", Tag, true, false},
		RegistryPhase{p.now(), "docker.io", Verify, false, false},
		RegistryPhase{p.after(90 * time.Millisecond), "docker.io", Verify, true, false},
		RegistryUse{At: p.now(), Registry: "docker.io", BytesUploaded: 300*mb + manifests, Requests: 40, Retries: 1, RateLimit: &RateLimit{Limit: 200, Remaining: 187, Window: 6 * time.Hour}},
		Finished{p.now()},
	)
	return p
}

// well: everything as it should be.
func well() *play {
	p := newPlay()
	hosts := []string{"ghcr.io", "docker.io", "quay.io"}
	p.tell(Started{At: p.now()}, PhaseStarted{p.now(), Plan})
	for _, host := range hosts {
		p.tell(RegistryPlanned{At: p.now(), Registry: host, References: []string{host + "/acme/app:1.2.0"}, Accounts: []string{`token from registry-auth (user "acme")`}})
	}
	p.tell(PhaseStarted{p.now(), Login})
	for _, host := range hosts {
		p.tell(RegistryPhase{p.now(), host, Login, false, false}, RegistryPhase{p.after(100 * time.Millisecond), host, Login, true, false})
	}
	p.tell(SourceKnown{p.now(), "docker://ghcr.io/acme/build@" + digest, digest, "application/vnd.oci.image.index.v1+json", []string{"linux/amd64"}, 30 * mb},
		PhaseStarted{p.now(), Copy})
	for _, host := range hosts {
		p.tell(RegistryPhase{p.now(), host, Copy, false, false}, Expected{p.now(), host, 30 * mb})
	}
	for _, host := range hosts {
		p.tell(Sent{p.after(time.Second), host, 30 * mb},
			BlobDone{At: p.now(), Start: epoch, Registry: host, Repository: "acme/app", Digest: older, SizeBytes: 30 * mb, How: Uploaded},
			RegistryPhase{p.now(), host, Copy, true, false})
	}
	p.tell(SourceRead{p.now(), 30*mb + 4000, 9}, PhaseStarted{p.now(), Tag})
	for _, host := range hosts {
		p.tell(RegistryPhase{p.now(), host, Tag, false, false}, TagDone{p.after(50 * time.Millisecond), host, host + "/acme/app:1.2.0", Pushed, "", digest, ""}, RegistryPhase{p.now(), host, Tag, true, false})
	}
	p.tell(PhaseStarted{p.now(), Verify})
	for _, host := range hosts {
		p.tell(RegistryPhase{p.now(), host, Verify, false, false}, RegistryPhase{p.after(20 * time.Millisecond), host, Verify, true, false},
			RegistryUse{At: p.now(), Registry: host, BytesUploaded: 30*mb + manifests, Requests: 12})
	}
	p.tell(Finished{p.now()})
	return p
}

// dry: a dry run with one registry up to date and one that lacks the image.
func dry() *play {
	p := newPlay()
	p.tell(
		Started{At: p.now(), DryRun: true},
		PhaseStarted{p.now(), Plan},
		RegistryPlanned{At: p.now(), Registry: "ghcr.io", References: []string{"ghcr.io/acme/app:1", "ghcr.io/acme/app:2", "ghcr.io/acme/app:3", "ghcr.io/acme/app:4", "ghcr.io/acme/app:5", "ghcr.io/acme/app:6"}},
		RegistryPlanned{At: p.now(), Registry: "quay.io", References: []string{"quay.io/acme/app:1"}},
		PhaseStarted{p.now(), Login},
		RegistryPhase{p.now(), "ghcr.io", Login, false, false}, RegistryPhase{p.now(), "quay.io", Login, false, false},
		RegistryPhase{p.after(time.Second), "ghcr.io", Login, true, false}, RegistryPhase{p.now(), "quay.io", Login, true, false},
		SourceKnown{p.now(), "./image.tar", digest, "", nil, 30 * mb},
		PhaseStarted{p.now(), Copy},
		RegistryPhase{p.now(), "ghcr.io", Copy, false, false}, RegistryPhase{p.now(), "quay.io", Copy, false, false},
		DryRunPlan{At: p.after(time.Second), Registry: "ghcr.io", MissingBlobs: 3, MissingBytes: 29 * mb, Note: "push permission is unproven: a dry run opens no upload"},
		DryRunPlan{At: p.now(), Registry: "quay.io", Note: "push permission is unproven: a dry run opens no upload"},
		RegistryPhase{p.now(), "ghcr.io", Copy, true, false}, RegistryPhase{p.now(), "quay.io", Copy, true, false},
		PhaseStarted{p.now(), Tag},
	)
	for _, tag := range []string{"1", "2", "3", "4", "5"} {
		p.tell(TagDone{p.now(), "ghcr.io", "ghcr.io/acme/app:" + tag, Planned, "", "", ""})
	}
	p.tell(
		TagDone{p.now(), "ghcr.io", "ghcr.io/acme/app:6", Planned, older, older, ""},
		TagDone{p.now(), "quay.io", "quay.io/acme/app:1", Unchanged, digest, digest, ""},
		Finished{p.now()},
	)
	return p
}

// nothing: a pull request from a fork.
func nothing() *play {
	p := newPlay()
	p.tell(
		Started{At: p.now()}, PhaseStarted{p.now(), Plan},
		RegistryPlanned{At: p.now(), Registry: "docker.io", References: []string{"docker.io/acme/app:pr-7"}, Skip: "username is empty"},
		RegistryPlanned{At: p.now(), Registry: "ghcr.io", References: []string{"ghcr.io/acme/app:pr-7"}, Accounts: []string{"github-token"}},
		PhaseStarted{p.now(), Login}, RegistryPhase{p.now(), "ghcr.io", Login, false, false},
		RegistrySkipped{p.after(time.Second), "ghcr.io", "the job's own token may not push from a pull request of a fork"},
		RegistryPhase{p.now(), "ghcr.io", Login, true, false},
		Finished{p.now()},
	)
	return p
}

// broken: the source cannot be read.
func broken() *play {
	p := newPlay()
	p.tell(
		Started{At: p.now()}, PhaseStarted{p.now(), Plan},
		RegistryPlanned{At: p.now(), Registry: "ghcr.io", References: []string{"ghcr.io/acme/app:1"}},
		PhaseStarted{p.now(), Login}, RegistryPhase{p.now(), "ghcr.io", Login, false, false},
		RunFailed{p.after(time.Second), usererror.New(usererror.SourceNotFound, "", "source ./image.tar: there is no such file", "", nil)},
		RegistryFailed{At: p.now(), Registry: "ghcr.io", Err: usererror.New(usererror.SourceBroken, "ghcr.io", "the source could not be read, so nothing was published to ghcr.io/acme/app", "", nil)},
		TagDone{p.now(), "ghcr.io", "ghcr.io/acme/app:1", Failed, "", "", "the source could not be read, so nothing was published to ghcr.io/acme/app [source-broken]"},
		RegistryPhase{p.now(), "ghcr.io", Login, true, false},
		Finished{p.now()},
	)
	return p
}

// stopped: cancelled in the middle, with one registry done.
func stopped() *play {
	p := newPlay()
	p.tell(
		Started{At: p.now()}, PhaseStarted{p.now(), Plan},
		RegistryPlanned{At: p.now(), Registry: "ghcr.io", References: []string{"ghcr.io/acme/app:1"}},
		RegistryPlanned{At: p.now(), Registry: "quay.io", References: []string{"quay.io/acme/app:1"}},
		SourceKnown{p.now(), "./image.tar", digest, "", nil, 30 * mb},
		PhaseStarted{p.now(), Copy},
		RegistryPhase{p.now(), "ghcr.io", Copy, false, false}, RegistryPhase{p.now(), "quay.io", Copy, false, false},
		Expected{p.now(), "ghcr.io", 1 * mb}, Expected{p.now(), "quay.io", 30 * mb},
		Sent{p.after(time.Second), "ghcr.io", 1 * mb}, Sent{p.now(), "quay.io", 2 * mb},
		TagDone{p.now(), "ghcr.io", "ghcr.io/acme/app:1", Pushed, "", digest, ""},
		RegistryPhase{p.now(), "ghcr.io", Copy, true, false},
		Cancelled{p.after(time.Second)},
		RegistryPhase{p.now(), "quay.io", Copy, true, false},
		RegistryFailed{At: p.now(), Registry: "quay.io", Err: usererror.New(usererror.Cancelled, "quay.io", "publishing to quay.io", "", errors.New("interrupt signal received"))},
		TagDone{p.now(), "quay.io", "quay.io/acme/app:1", Failed, "", "", "publishing to quay.io: interrupt signal received [cancelled]"},
		Cancelled{p.now()},
		Finished{p.after(time.Second)},
	)
	return p
}

var plays = map[string]func() *play{"mixed": mixed, "well": well, "dry": dry, "nothing": nothing, "broken": broken, "stopped": stopped}

func TestGolden(t *testing.T) {
	for name, run := range plays {
		t.Run(name, func(t *testing.T) {
			p := run()
			var table strings.Builder
			for _, width := range []int{120, 60} {
				table.WriteString(strings.Repeat("-", width) + "\n")
				if err := p.record.Table(&table, width); err != nil {
					t.Fatal(err)
				}
			}
			golden(t, name+".table.txt", table.String())
			golden(t, name+".log.txt", p.log.String())
			golden(t, name+".summary.md", p.record.Markdown(MaxSummary))
			golden(t, name+".results.json", p.record.Results().JSON()+"\n")
		})
	}
}

// TestPictureIsCurrent: docs/summary.png shows what the code writes now.
func TestPictureIsCurrent(t *testing.T) {
	drawn, err := os.ReadFile("../../docs/summary/drawn.sha256")
	if err != nil {
		t.Fatal(err)
	}
	now := fmt.Sprintf("%x\n", sha256.Sum256([]byte(mixed().record.Markdown(MaxSummary))))
	if string(drawn) != now {
		t.Error("the summary has changed since docs/summary.png was drawn: run docs/summary/render")
	}
}
