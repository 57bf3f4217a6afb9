package leak

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// hostile is text that tries to be more than text: for the runner, a terminal, Markdown,
// HTML, and the output file.
const hostile = "x\n::stop-commands::c4n4ry\n  ::add-mask::docker.io\r::error title=c4n4ry::y\r\n##[error]c4n4ry ##[group]c4n4ry\n::set-output name=digest::c4n4ry\n" +
	"\x1b[31mred\x1b]0;title\x07\x00\u202e\u2066\u200b" +
	"<img src=x onerror=alert(1)><script>alert(1)</script><!-- [click](javascript:alert(1)) ![i](http://evil.example/x.png) | a | b |\n# Heading\n```\n~~~\n@everyone #1 https://evil.example" +
	"\nghadelimiter_\nEOF\ndigest<<EOF\nc4n4ry\nEOF\n%0A::error::z %25"

// ours are the commands that the program writes.
var ours = []string{"group", "endgroup", "error", "warning", "notice", "debug", "add-mask"}

// obeyed returns what the runner would act on in a stream (actions/runner, ActionCommand):
// the name and the whole line.
func obeyed(text string) [][2]string {
	var commands [][2]string
	for _, line := range strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' }) {
		if rest, ok := strings.CutPrefix(strings.TrimLeftFunc(line, unicode.IsSpace), "::"); ok {
			name, _, _ := strings.Cut(rest, "::")
			name, _, _ = strings.Cut(name, " ")
			commands = append(commands, [2]string{name, line})
			continue
		}
		if strings.Contains(line, "##[") {
			commands = append(commands, [2]string{"##[", line})
		}
	}
	return commands
}

func checkText(t *testing.T, o outcome) {
	t.Helper()
	for _, stream := range []string{o.stdout, o.stderr} {
		for _, c := range obeyed(stream) {
			if !slices.Contains(ours, c[0]) || !strings.HasPrefix(c[1], "::") {
				t.Errorf("the runner obeys %q", c[1])
			}
			if strings.HasPrefix(c[1], "::error title=c4n4ry") {
				t.Errorf("an annotation from outside: %q", c[1])
			}
		}
		for _, r := range stream {
			if r != '\n' && !unicode.IsPrint(r) {
				t.Errorf("the log holds %q", r)
				break
			}
		}
	}
	for _, m := range o.masks {
		if m == "docker.io" {
			t.Error("text from outside is masked")
		}
	}
	names := 0
	for lines := strings.Split(o.output, "\n"); len(lines) > 1; names++ {
		_, delimiter, ok := strings.Cut(lines[0], "<<")
		end := slices.Index(lines[1:], delimiter)
		if !ok || end < 0 {
			t.Fatalf("the output file is broken at %q", lines[0])
		}
		if value := strings.Join(lines[1:1+end], "\n"); strings.HasPrefix(lines[0], "results<<") && !json.Valid([]byte(value)) {
			t.Errorf("results are no JSON: %s", value)
		}
		if strings.HasPrefix(lines[0], "digest<<") && lines[1] == "c4n4ry" {
			t.Error("an output comes from outside")
		}
		lines = lines[end+2:]
	}
	if names != 7 && names != 14 { // of a run that sends anything, the first seven say that it has not ended
		t.Errorf("%d outputs", names)
	}
	for _, markup := range []string{"<img src", "<script", "<!--", "](javascript:", "](http://evil", "\n# Heading", "\x1b", "\u202e", "@everyone"} {
		if strings.Contains(o.summary, markup) {
			t.Errorf("the summary holds %q", markup)
		}
	}
}

func TestOutsideTextStaysText(t *testing.T) {
	said := fmt.Sprintf(`{"errors":[{"code":%s,"message":%s,"detail":%s}]}`, quotedJSON(hostile), quotedJSON(hostile), quotedJSON(hostile))
	one := publish(host+"/me/app:1", item(host, password))
	open := locked(password, plainRegistry())
	for name, p := range map[string]path{
		"error in JSON":    {environ: one, hosts: map[string]http.Handler{host: answer(403, said, "Content-Type", "application/json")}, status: 1, says: "c4n4ry"},
		"error in text":    {environ: one, hosts: map[string]http.Handler{host: answer(400, hostile, "Content-Type", "text/plain")}, status: 1, says: "c4n4ry"},
		"error in HTML":    {environ: one, hosts: map[string]http.Handler{host: answer(502, "<html><h1>"+hostile, "Content-Type", "text/html")}, status: 1},
		"endless error":    {environ: one, hosts: map[string]http.Handler{host: answer(500, strings.Repeat(hostile, 1000))}, status: 1},
		"challenge":        {environ: one, hosts: map[string]http.Handler{host: answer(401, said, "WWW-Authenticate", `Bearer realm="https://x.example/::error::c4n4ry##[group]",service="<img src=x>"`)}, status: 1},
		"token server":     {environ: one, hosts: map[string]http.Handler{host: tokenAuth("https://auth.example/t", bearer, nil), "auth.example": answer(403, said)}, status: 1},
		"retry after":      {environ: one, hosts: map[string]http.Handler{host: answer(429, said, "Retry-After", "::error::c4n4ry", "Ratelimit-Limit", "##[x;w=<img src>")}, status: 1},
		"tags":             {environ: publish(hostile, ""), status: 1},
		"host":             {environ: publish("x.example/<img src=x>##[group]:1", "- registry: \"::error::c4n4ry ##[x\"\n"), status: 1},
		"source":           {environ: append(publish(host+"/me/app:1", item(host, password)), "INPUT_SOURCE="+hostile), hosts: map[string]http.Handler{host: open}, status: 1},
		"path":             {environ: append(publish(host+"/me/app:1", item(host, password)), "INPUT_SOURCE=./::error::c4n4ry##[group]<img src=x>\x1b[31m.tar"), hosts: map[string]http.Handler{host: open}, status: 1},
		"every input":      {environ: []string{"INPUT_SOURCE=" + hostile, "INPUT_TAGS=" + hostile, "INPUT_REGISTRY-AUTH=" + hostile, "INPUT_CONCURRENCY=" + hostile, "INPUT_PLATFORMS=" + hostile, "INPUT_ATOMIC=" + hostile, "INPUT_IMMUTABLE-TAGS=(" + hostile, "INPUT_MISSING-CREDENTIALS=" + hostile}, status: 1},
		"unknown input":    {environ: append(one, "INPUT_::ERROR::##[GROUP]<IMG SRC=X>\x1b[31m=x"), status: 1},
		"unset line":       {environ: publish("/<img src=x>##[group]::error::c4n4ry", ""), skips: true},
		"user":             {environ: publish(host+"/me/app:1", "- registry: "+host+"\n  username: "+quotedJSON(hostile)+"\n  password: x1x1x1x1\n"), hosts: map[string]http.Handler{host: locked(password, nil)}, status: 1},
		"credential names": {environ: publish(host+"/me/app:1", "", `DOCKER_AUTH_CONFIG={"credHelpers":{"`+host+`":`+quotedJSON("::error::c4n4ry ##[group]")+`}}`), skips: true},
	} {
		t.Run(name, func(t *testing.T) {
			n := &network{hosts: p.hosts}
			for _, workflow := range []bool{true, false} {
				o := run(t, n, workflow, p.environ)
				want := p.status
				if !workflow && p.skips {
					want = 1 // on a command line nothing published is no success
				}
				if o.status != want || !strings.Contains(o.stdout, p.says) {
					t.Errorf("exit status %d:\n%s", o.status, o.stdout+o.stderr)
				}
				if workflow {
					checkText(t, o)
				} else if len(obeyed(o.stdout+"\n"+o.stderr)) > 0 {
					t.Errorf("commands outside of a workflow: %q", obeyed(o.stdout+"\n"+o.stderr))
				}
				if len(o.everything()) > 1<<20 {
					t.Errorf("%d bytes were written", len(o.everything()))
				}
			}
		})
	}
}

// An image speaks through its platforms, annotations and media types.
func TestImagesStayText(t *testing.T) {
	image, err := random.Image(1000, 2)
	if err != nil {
		t.Fatal(err)
	}
	index := mutate.AppendManifests(mutate.IndexMediaType(empty.Index, types.OCIImageIndex),
		mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: hostile, Architecture: hostile, Variant: hostile}, Annotations: map[string]string{hostile: hostile}}})
	folder := filepath.Join(t.TempDir(), "layout")
	at, err := layout.Write(folder, empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	if err := at.AppendIndex(index, layout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": hostile})); err != nil {
		t.Fatal(err)
	}
	for name, more := range map[string][]string{
		"published":        {"INPUT_SOURCE=oci:" + folder},
		"platform missing": {"INPUT_SOURCE=oci:" + folder, "INPUT_PLATFORMS=linux/amd64"},
		"name missing":     {"INPUT_SOURCE=oci:" + folder + ":nothing"},
		"dry run":          {"INPUT_SOURCE=oci:" + folder, "INPUT_DRY-RUN=true"},
	} {
		n := &network{hosts: map[string]http.Handler{host: locked(password, plainRegistry())}, sees: map[string][]canary{host: {password}}}
		o := run(t, n, true, append(publish(host+"/me/app:1", item(host, password)), more...))
		if want := map[bool]int{true: 1}[strings.Contains(name, "missing")]; o.status != want {
			t.Errorf("%s: exit status %d:\n%s", name, o.status, o.stdout)
		}
		checkText(t, o)
		for _, l := range slices.Concat(leaks(o.everything(), secrets), n.misdirected(secrets)) {
			t.Errorf("%s: %s", name, l)
		}
	}
}

func quotedJSON(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}

// Blobs may come from a redirect to another host, and uploads may be sent on: neither
// takes the credentials along.
func TestCredentialsDoNotFollow(t *testing.T) {
	image, err := random.Image(3000, 2)
	if err != nil {
		t.Fatal(err)
	}
	from, store := plainRegistry(), plainRegistry()
	push := func(h http.Handler) {
		ref, err := name.NewTag("source.example/me/app:1")
		if err != nil {
			t.Fatal(err)
		}
		if err := remote.Write(ref, image, remote.WithTransport(&network{hosts: map[string]http.Handler{"source.example": h}})); err != nil {
			t.Fatal(err)
		}
	}
	push(from)
	push(store)
	redirected := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/sha256:") {
			http.Redirect(w, r, "https://"+other+r.URL.Path+"?signature=abc", http.StatusTemporaryRedirect)
			return
		}
		from.ServeHTTP(w, r)
	})
	n := &network{
		hosts: map[string]http.Handler{"source.example": locked(keyFile, redirected), other: store, host: locked(password, plainRegistry())},
		sees:  map[string][]canary{host: {password}, "source.example": {keyFile}},
	}
	o := run(t, n, true, publish(host+"/me/app:1", item(host, password)+item("source.example", keyFile)))
	if o.status != 0 || n.requests(other) == 0 {
		t.Errorf("exit status %d, %d requests were redirected:\n%s", o.status, n.requests(other), o.stdout)
	}
	for _, l := range slices.Concat(leaks(o.everything(), secrets), n.misdirected(secrets)) {
		t.Error(l)
	}
}

// A leak that is planted in the world outside, a secret that the program was never told
// of, is found: the search looks where the program writes.
func TestPlantedLeakFails(t *testing.T) {
	n := &network{hosts: map[string]http.Handler{host: answer(403, `{"errors":[{"code":"DENIED","message":"the token `+renewal.value+` may not push"}]}`)}}
	o := run(t, n, true, publish(host+"/me/app:1", item(host, password)))
	for where, text := range map[string]string{"log": o.stdout, "outputs": o.output, "summary": o.summary} {
		if len(leaks(text, []canary{renewal})) == 0 {
			t.Errorf("the %s does not show what the registry answered, so that nothing could be found there:\n%s", where, text)
		}
	}
	n = &network{hosts: map[string]http.Handler{host: locked(password, plainRegistry())}, sees: map[string][]canary{}}
	run(t, n, true, publish(host+"/me/app:1", item(host, password)))
	if len(n.misdirected(secrets)) == 0 {
		t.Error("a password that a host was sent is not found")
	}
}
