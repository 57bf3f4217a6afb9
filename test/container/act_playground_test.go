package container

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/multi-registry-push/multi-registry-push/test/images"
	"github.com/multi-registry-push/multi-registry-push/test/servers"
	"github.com/multi-registry-push/multi-registry-push/test/standins"
)

const (
	recipes = "../../docs/recipes/"
	ecrHost = "123456789012.dkr.ecr.eu-central-1.amazonaws.com"
	token   = "ghs_of-a-job-0815"
)

// releasePath is where the script in native fetches the program of the outfit's release.
var releasePath = strings.TrimPrefix(releases, "https://github.com") +
	"/v1.2.3/multi-registry-push_1.2.3_" + runtime.GOOS + "_" + runtime.GOARCH

// outfit is what all recipes share.
type outfit struct {
	act     string
	made    map[string]*images.Image // what builds and others would have made
	folder  string                   // and their archives
	project string                   // the action as its release has it, without its sources
	program []byte
	actions string // other people's actions, and programs
}

// newOutfit skips the test where no engine is.
func newOutfit(t *testing.T) *outfit {
	t.Helper()
	o := &outfit{act: servers.Require(t, "act"), folder: t.TempDir(), project: t.TempDir()}
	for _, program := range []string{"bash", "curl", "skopeo"} {
		servers.Require(t, program)
	}
	actionImage(t)
	actions, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	o.actions = actions
	o.make(t)
	o.publish(t)
	return o
}

// make writes NAME.tar and NAME.digest for all that the jobs need.
func (o *outfit) make(t *testing.T) {
	t.Helper()
	chart, fixtureOf := read(t, fixture(t, "helm-app-1.2.0.tgz")), func(name string) *images.Image { return images.Open(t, fixture(t, name)) }
	image := fixtureOf("buildkit-attested.tar")
	helm := images.Artifact(nil, "application/vnd.cncf.helm.config.v1+json",
		images.Layer{MediaType: "application/vnd.cncf.helm.chart.content.v1.tar+gzip", Content: []byte(chart)})
	refers := func(to *images.Image, kind string) *images.Image {
		return images.Artifact(&to.Root, "application/vnd.example."+kind, images.Layer{MediaType: "text/plain", Content: []byte(kind)})
	}
	o.made = map[string]*images.Image{
		"image": image, "amd64": fixtureOf("buildkit-amd64.tar"), "arm64": fixtureOf("buildkit-arm64.tar"),
		"docker":    images.Build(images.Options{Docker: true, NoAttestations: true}),
		"signature": refers(image, "signature"), "attestation": refers(image, "attestation"),
		"chart": helm, "chart-signature": refers(helm, "signature"),
	}
	for i, name := range []string{"api", "web", "worker"} {
		o.made[name] = images.Build(images.Options{Seed: uint64(i) + 1, SharedSeed: 7})
	}
	for name, image := range o.made {
		copyFile(t, image.Archive(t), filepath.Join(o.folder, name+".tar"))
		write(t, filepath.Join(o.folder, name+".digest"), image.Digest())
	}
	copyFile(t, fixture(t, "docker20.tar"), filepath.Join(o.folder, "loaded.tar"))
	write(t, filepath.Join(o.folder, "app-1.2.0.tgz"), chart)
}

// publish writes the action as a release has it: its image is there already, and so is the
// program that native fetches.
func (o *outfit) publish(t *testing.T) {
	t.Helper()
	id := strings.TrimSpace(mustDocker(t, "create", image))
	defer mustDocker(t, "rm", id)
	to := filepath.Join(t.TempDir(), "program")
	mustDocker(t, "cp", id+":/multi-registry-push", to)
	o.program = []byte(read(t, to))
	definition := read(t, "../../action.yml")
	if strings.Count(definition, "image: Dockerfile") != 1 {
		t.Fatal("action.yml is not built from the Dockerfile")
	}
	write(t, filepath.Join(o.project, "action.yml"), strings.Replace(definition, "image: Dockerfile", "image: docker://"+image, 1))
	native := filepath.Join(o.project, "native")
	if err := os.CopyFS(native, os.DirFS("../../native")); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(native, "release.txt"), fmt.Sprintf("version 1.2.3\n%s_%s %x\n", runtime.GOOS, runtime.GOARCH, sha256.Sum256(o.program)))
}

// playground is where one recipe runs: an internet with the registries that it names, and what its
// jobs share.
type playground struct {
	*outfit
	net     *standins.Internet
	github  *standins.GitHub
	aws     *standins.AWS
	ecr     *standins.ECR
	logins  map[string]authn.Basic // by host
	secrets map[string]string
	vars    map[string]string
	env     []string
	shared  string // what jobs leave each other
	work    string // what is in the repository
	seen    string // the folder that containers of actions see
}

func newPlayground(t *testing.T, o *outfit, text string, r recipe) *playground {
	t.Helper()
	p := &playground{
		outfit: o, net: standins.NewInternet(t), logins: map[string]authn.Basic{}, shared: t.TempDir(), work: t.TempDir(), seen: visible(t),
		secrets: map[string]string{"GITHUB_TOKEN": token}, vars: map[string]string{"QUAY_ORGANIZATION": "acme"},
	}
	p.github = standins.NewGitHub(t, p.net)
	p.registries(t, text)
	p.net.Handle("github.com", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != releasePath {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write(o.program)
	}))
	if r.noLogin {
		p.secrets, p.vars = map[string]string{"GITHUB_TOKEN": ""}, nil
	}
	for _, variable := range p.net.Env() {
		if file, ok := strings.CutPrefix(variable, "SSL_CERT_FILE="); ok {
			roots := filepath.Join(p.seen, "standins.pem")
			copyFile(t, file, roots)
			variable = "SSL_CERT_FILE=" + roots
			p.env = append(p.env, "CURL_CA_BUNDLE="+roots)
		}
		p.env = append(p.env, variable)
	}
	if strings.Contains(text, "id-token: write") {
		p.env = append(p.env, p.github.Env()...)
	}
	for file, content := range map[string]string{"api/version.txt": "1.0.0\n", "web/version.txt": "1.2.0\n", "chart/Chart.yaml": "name: app\n"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(p.work, file)), 0o755); err != nil { // #nosec G301 -- as git does
			t.Fatal(err)
		}
		write(t, filepath.Join(p.work, file), content)
	}
	return p
}

// registries starts those that the recipe names, and makes the accounts that its secrets and
// variables are for.
func (p *playground) registries(t *testing.T, text string) {
	t.Helper()
	for host, account := range map[string]struct{ user, password, prefix string }{
		"ghcr.io":                       {"octocat", token, ""},
		"quay.io":                       {"acme+robot", "quay-s3cret/+%", "QUAY"},
		"codeberg.org":                  {"acme", "codeberg-s3cret", "PACKAGES"},
		"gitea.example.com":             {"acme", "gitea-s3cret", "PACKAGES"},
		"registry.internal.example.com": {"acme", "internal-s3cret", "INTERNAL"},
		"docker.io":                     {"acme-hub", "dckr_pat_s3cret", "DOCKERHUB"},
	} {
		if !strings.Contains(text, host) {
			continue
		}
		if host == "docker.io" {
			standins.NewDockerHub(t, p.net, p.github).Passwords[account.user] = account.password
		} else {
			standins.NewStatic(t, p.net, host).Allow(account.user, account.password, false)
		}
		p.logins[host] = authn.Basic{Username: account.user, Password: account.password}
		if account.prefix != "" {
			p.vars[account.prefix+"_USERNAME"] = account.user
			p.secrets[account.prefix+"_TOKEN"], p.secrets[account.prefix+"_PASSWORD"] = account.password, account.password
		}
	}
	if strings.Contains(text, "aws-role:") {
		p.aws = standins.NewAWS(t, p.net, p.github)
		p.aws.Role = "arn:aws:iam::123456789012:role/publish"
		p.aws.STS("sts.eu-central-1.amazonaws.com", "sts.amazonaws.com")
		p.ecr = p.aws.Registry(ecrHost, "api.ecr.eu-central-1.amazonaws.com", "123456789012", "eu-central-1")
		p.vars["ECR_REGISTRY"], p.vars["AWS_ROLE"] = ecrHost, p.aws.Role
	}
}

// inspect returns options to look into a registry of the playground.
func (p *playground) inspect(t *testing.T, host string) []remote.Option {
	t.Helper()
	login, ok := p.logins[host]
	if host == ecrHost {
		issued := p.aws.Secrets()
		i := slices.IndexFunc(issued, func(s string) bool { return strings.HasPrefix(s, "eyJ") })
		if ok = i >= 0; ok {
			login = authn.Basic{Username: "AWS", Password: issued[i]}
		}
	}
	if !ok {
		t.Fatalf("nobody has logged in to %s", host)
	}
	return []remote.Option{remote.WithTransport(overTLS{p.net.Transport(t)}), remote.WithAuth(&login)}
}

// overTLS speaks HTTPS with a host whatever the client takes it for.
type overTLS struct{ http.RoundTripper }

func (o overTLS) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.URL.Scheme = "https"
	return o.RoundTripper.RoundTrip(r)
}

var uses = regexp.MustCompile(`uses: ([\w.-]+/[\w.-]+)(/[\w./-]+)?@(\S+)`)

// act lets act run the recipe, and returns its log.
func (p *playground) act(t *testing.T, text string, r recipe) string {
	t.Helper()
	control := t.TempDir()
	text = readyForAct(t, text)
	write(t, filepath.Join(control, "recipe.yml"), text)
	write(t, filepath.Join(control, "secrets"), lines(p.secrets))
	write(t, filepath.Join(control, "vars"), lines(p.vars))
	write(t, filepath.Join(control, "event.json"), `{"pull_request": {"number": 7}}`)
	event, ref := r.event, r.ref
	if event == nil {
		event = []string{"push"}
	}
	if ref == "" {
		ref = "refs/heads/main"
	}
	args := append(event, "--workflows", filepath.Join(control, "recipe.yml"),
		"--secret-file", filepath.Join(control, "secrets"), "--var-file", filepath.Join(control, "vars"),
		"--actor", "octocat", "--concurrent-jobs", "1", "--pull=false", "--no-cache-server", "--rm",
		"--action-cache-path", filepath.Join(p.seen, "act"), "--container-daemon-socket", "unix://"+socket(t),
		"--local-repository", "multi-registry-push/multi-registry-push@v1="+p.project)
	if event[0] == "pull_request" {
		args = append(args, "--eventpath", filepath.Join(control, "event.json"))
	}
	for _, label := range []string{"ubuntu-latest", "ubuntu-24.04-arm", "ubuntu-slim", "self-hosted"} {
		args = append(args, "--platform", label+"=-self-hosted")
	}
	for _, m := range uses.FindAllStringSubmatch(text, -1) {
		if m[1] != "actions/checkout" && m[1] != "multi-registry-push/multi-registry-push" {
			args = append(args, "--local-repository", m[1]+"@"+m[3]+"="+filepath.Join(p.actions, "actions", m[1]))
		}
	}
	for _, variable := range append(p.env, "GITHUB_REPOSITORY=acme/app", "GITHUB_REF="+ref, "SHA_REF=1a2b3c4d5e6f7a8b9c0d1e2f3a4b5c6d7e8f9a0b") {
		args = append(args, "--env", variable)
	}
	cmd := exec.Command(p.outfit.act, args...)
	cmd.Dir = p.work
	programs := filepath.Join(p.actions, "programs")
	out, err := command(cmd, "HOME="+t.TempDir(), "DOCKER_HOST=unix://"+likeTheRunner(t, p.seen), "MADE="+p.folder, "SHARED="+p.shared,
		"STANDINS="+programs, "PATH="+filepath.Join(programs, "bin")+":"+os.Getenv("PATH"))
	if err != nil {
		t.Fatalf("act: %v\n%s", err, out)
	}
	for host, login := range p.logins {
		if strings.Contains(out, login.Password) {
			t.Errorf("the password of %s is in act's log", host)
		}
	}
	if strangers := p.net.Strangers(); len(strangers) > 0 {
		t.Errorf("asked for %q:\n%s", strangers, out)
	}
	return out
}

// visible returns a folder with a short path, for what containers of actions see.
func visible(t *testing.T) string {
	t.Helper()
	folder, err := os.MkdirTemp("", "seen")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	return folder
}

// likeTheRunner returns a socket to the engine at which containers of act's actions get what
// GitHub's runner gives them, and act does not where a job runs on the machine itself: the
// folder with the runner's temporary files and commands, and here the host's network too.
func likeTheRunner(t *testing.T, folder string) string {
	t.Helper()
	engine := socket(t)
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", engine)
	}}
	proxy := &httputil.ReverseProxy{Transport: transport, FlushInterval: -1, Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(&url.URL{Scheme: "http", Host: "engine"})
		if !strings.HasSuffix(r.In.URL.Path, "/containers/create") || !strings.HasPrefix(r.In.URL.Query().Get("name"), "act-") {
			return
		}
		var asked map[string]any
		if err := json.NewDecoder(r.In.Body).Decode(&asked); err != nil {
			t.Errorf("asked the engine for a container: %v", err)
		}
		if host, ok := asked["HostConfig"].(map[string]any); ok {
			binds, _ := host["Binds"].([]any)
			host["Binds"], host["NetworkMode"] = append(binds, folder+":"+folder), "host"
		}
		body, err := json.Marshal(asked)
		if err != nil {
			t.Error(err)
		}
		r.Out.Body, r.Out.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	}}
	at := filepath.Join(folder, "docker.sock")
	listener, err := net.Listen("unix", at)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: proxy, ReadHeaderTimeout: time.Minute}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	t.Cleanup(func() {
		_ = server.Close()
		<-ended
		transport.CloseIdleConnections()
	})
	return at
}

// lines writes NAME=VALUE.
func lines(variables map[string]string) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(variables)) {
		fmt.Fprintf(&b, "%s=%s\n", name, variables[name])
	}
	return b.String()
}

var strategy = regexp.MustCompile(`(?m)^    strategy:\n`)

// readyForAct changes of a recipe what keeps act from running it:
//   - it names containers by the workflow, which is another for each test;
//   - it runs the jobs of a matrix at once, and is not made for that where actions are local;
//   - it keeps the outputs of one job of a matrix alone;
//   - it knows neither the address of another server in "uses" nor the newest permission.
//
// And the engine's tags are another for each test that runs.
func readyForAct(t *testing.T, text string) string {
	t.Helper()
	unique := strings.NewReplacer("/", "-", ",", "-", ".", "-").Replace(strings.ToLower(t.Name()))
	text = strings.NewReplacer("uses: https://github.com/", "uses: ", "app:test", "app:"+unique).Replace(text)
	text = regexp.MustCompile(`(?m)^ +artifact-metadata: .*\n`).ReplaceAllString(text, "")
	text = unfoldMatrix(text)
	text = regexp.MustCompile(`(?m)^name: .*`).ReplaceAllLiteralString(text, "name: "+unique)
	return strategy.ReplaceAllLiteralString(text, "    strategy:\n      max-parallel: 1\n")
}

var (
	withOutputs = regexp.MustCompile(`(?ms)^  build:\n    strategy:\n(.*?)^    runs-on: .*?^    outputs:.*?\n(.*?)(^    steps:.*?)\n\n`)
	variants    = regexp.MustCompile(`\{ arch: (\w+), runner: (\S+) \}`)
)

// unfoldMatrix makes a job of each variant of the job named build, where that has outputs.
func unfoldMatrix(text string) string {
	m := withOutputs.FindStringSubmatch(text)
	if m == nil {
		return text
	}
	jobs, names := "", []string{}
	for _, v := range variants.FindAllStringSubmatch(m[1], -1) {
		output := regexp.MustCompile(`(?m)^      ` + v[1] + `: .*\n`).FindString(m[2])
		variant := "  build-" + v[1] + ":\n    runs-on: " + v[2] + "\n    outputs:\n" + output + m[3] + "\n\n"
		jobs += strings.ReplaceAll(variant, "${{ matrix.arch }}", v[1])
		names = append(names, "build-"+v[1])
		text = strings.ReplaceAll(text, "needs.build.outputs."+v[1], "needs.build-"+v[1]+".outputs."+v[1])
	}
	text = withOutputs.ReplaceAllLiteralString(text, jobs)
	return strings.Replace(text, "needs: build\n", "needs: ["+strings.Join(names, ", ")+"]\n", 1)
}
