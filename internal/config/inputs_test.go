package config

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/multi-registry-push/multi-registry-push/internal/redact"
	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

// actionDefinition is the real one: names and defaults are tested as they ship.
func actionDefinition(t testing.TB) *Definition {
	t.Helper()
	raw, err := os.ReadFile("../../action.yml")
	if err != nil {
		t.Fatal(err)
	}
	def, err := ParseDefinition(raw)
	if err != nil {
		t.Fatal(err)
	}
	return def
}

func TestDefinition(t *testing.T) {
	def := actionDefinition(t)
	want := []string{"source", "tags", "annotations", "images", "registry-auth", "github-token", "missing-credentials", "atomic", "immutable-tags",
		"skip-existing", "push-by-digest", "platforms", "referrers", "create-repository", "concurrency", "thorough", "dry-run", "summary"}
	if !slices.Equal(def.inputNames(), want) {
		t.Errorf("inputs %q", def.inputNames())
	}
	for _, in := range def.Inputs {
		if in.Description == "" || in.Required {
			t.Errorf("%+v", in)
		}
	}
	for _, raw := range []string{"", "inputs: {}", "inputs: [", "inputs: {a: {required: maybe}}", "inputs: {'': {}}"} {
		if _, err := ParseDefinition([]byte(raw)); err == nil {
			t.Errorf("%q is accepted", raw)
		}
	}
}

// TestByteOrderMark: files that Windows wrote begin with one, and what reads them passes it on.
func TestByteOrderMark(t *testing.T) {
	s, bad := read(t, nil, []string{"INPUT_SOURCE=\ufeff./a.tar", "INPUT_TAGS=\ufeffghcr.io/me/app:1", "INPUT_ATOMIC=\ufefftrue",
		"INPUT_SUMMARY=\ufeff"}, "")
	if len(bad) > 0 || s.Images[0].Source != "./a.tar" || s.Images[0].Destinations[0].Reference.Host != "ghcr.io" || !s.Atomic || !s.Summary {
		t.Errorf("%+v, %v", s, bad)
	}
}

// variables returns INPUT_ variables by what follows, and whether a runner set them.
func variables(environ []string) (inputs map[string]string, workflow bool) {
	inputs = map[string]string{}
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if input, ok := strings.CutPrefix(name, "INPUT_"); ok {
			inputs[input] = value
		}
		workflow = workflow || entry == "GITHUB_ACTIONS=true"
	}
	return inputs, workflow
}

func read(t testing.TB, args, environ []string, stdin string) (*Settings, []error) {
	t.Helper()
	def := actionDefinition(t)
	a, bad := ParseArguments(def, args)
	inputs, workflow := variables(environ)
	s, wrong := Read(t.Context(), Sources{Definition: def, Arguments: a, Variables: inputs, Workflow: workflow,
		Stdin: strings.NewReader(stdin), Learn: func(string, redact.Text) {}})
	return s, append(bad, wrong...)
}

func TestDefaults(t *testing.T) {
	for name, environ := range map[string][]string{
		"left out": nil,
		"empty": {"GITHUB_ACTIONS=true", "INPUT_CONCURRENCY=", "INPUT_MISSING-CREDENTIALS=  ", "INPUT_ATOMIC=", "INPUT_SUMMARY=", "INPUT_GITHUB-TOKEN=",
			"INPUT_PLATFORMS=", "INPUT_DRY-RUN=\n", "INPUT_IMMUTABLE-TAGS=", "INPUT_REGISTRY-AUTH=", "INPUT_REFERRERS=", "INPUT_CREATE-REPOSITORY="},
	} {
		s, bad := read(t, nil, environ, "")
		if len(bad) > 0 {
			t.Errorf("%s: %v", name, bad)
		}
		if s.Concurrency != 0 || s.FailOnMissing || s.Atomic || !s.Summary || !s.GitHubToken.IsZero() || s.DryRun || s.ImmutableTags != nil ||
			len(s.Platforms) != 0 || s.Referrers || s.CreateRepository || !s.TagsEmpty {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

func TestWorkflowInputs(t *testing.T) {
	s, bad := read(t, nil, []string{"GITHUB_ACTIONS=true", "INPUT_SOURCE= ./image.tar\n", "INPUT_TAGS=ghcr.io/me/app:1\nme/app:1\n\n ghcr.io/me/app:1 \n/app:2\n",
		"INPUT_GITHUB-TOKEN=ghs_x\n", "INPUT_MISSING-CREDENTIALS=Fail", "INPUT_ATOMIC=TRUE", "INPUT_IMMUTABLE-TAGS=.*", "INPUT_PLATFORMS=linux/amd64, linux/arm/v7\nlinux/amd64",
		"INPUT_REFERRERS=true", "INPUT_CREATE-REPOSITORY=True", "INPUT_CONCURRENCY= 8 ", "INPUT_DRY-RUN=true", "INPUT_SUMMARY=false",
		"INPUT_REGISTRY-AUTH=- registry:\n  password: x\n  username: y", "INPUT_ARGS=x", "INPUT_ENTRYPOINT=y", "source=ignored", "atomic=ignored"}, "")
	if len(bad) > 0 {
		t.Fatal(bad)
	}
	if s.Images[0].Source != " ./image.tar\n" || s.GitHubToken.Reveal() != "ghs_x" || !s.FailOnMissing || !s.Atomic || s.ImmutableTags == nil || !s.CreateImmutable ||
		!slices.Equal(s.Platforms, []string{"linux/amd64", "linux/arm/v7"}) || !s.Referrers || !s.CreateRepository || s.Concurrency != 8 || !s.DryRun || s.Summary || s.TagsEmpty {
		t.Errorf("%+v", s)
	}
	var got []string
	for _, d := range s.Images[0].Destinations {
		got = append(got, d.Reference.String())
	}
	if strings.Join(got, " ") != "ghcr.io/me/app:1 docker.io/me/app:1" {
		t.Errorf("destinations %q", got)
	}
	if len(s.Skipped) != 2 || s.Skipped[0].Input != "registry-auth" || s.Skipped[0].Text != "registry:" || s.Skipped[1].Text != "/app:2" || s.Skipped[1].Line != 5 {
		t.Errorf("unconfigured %+v", s.Skipped)
	}
}

// TestPlatformsAsTheyAreWritten: what containerd makes one platform of, no input refuses.
func TestPlatformsAsTheyAreWritten(t *testing.T) {
	all := []string{"linux/x86-64", "Linux/AMD64", "linux/arm64/v8.0", "linux/arm/V7", "linux/x86_64"}
	s, bad := read(t, []string{"--source=oci:./x", "--tags", "me/app:1", "--platforms", strings.Join(all, ",")}, nil, "")
	if len(bad) > 0 || !slices.Equal(s.Platforms, all) {
		t.Errorf("got %q, problems %v", s.Platforms, bad)
	}
}

func TestFlags(t *testing.T) {
	file := filepath.Join(t.TempDir(), "auth.yml")
	if err := os.WriteFile(file, []byte("- registry: ghcr.io\n  username: me\n  password: from-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, bad := read(t, []string{"--source=oci:./x:1", "--tags", "me/app:1", "--tags", "me/app:2", "--registry-auth", "@" + file, "--github-token", "-",
		"--atomic", "--dry-run", "false", "--referrers=true", "--concurrency", "2", "--summary", "--platforms", "all"},
		[]string{"INPUT_SOURCE=loses", "INPUT_CONCURRENCY=9", "INPUT_MISSING_CREDENTIALS=fail", "INPUT_WHATEVER=x", "INPUT_GITHUB-TOKEN=loses"}, "ghp_stdin\n")
	if len(bad) > 0 {
		t.Fatal(bad)
	}
	if s.Images[0].Source != "oci:./x:1" || len(s.Images[0].Destinations) != 2 || len(s.Items) != 1 || s.Items[0].Password.Reveal() != "from-file" || s.GitHubToken.Reveal() != "ghp_stdin" ||
		!s.Atomic || s.DryRun || !s.Referrers || s.Concurrency != 2 || !s.FailOnMissing || len(s.Platforms) != 0 {
		t.Errorf("%+v", s)
	}
	if s.Name("source") != "--source" || s.Name("platforms") != "--platforms" || s.Name("immutable-tags") != "immutable-tags" {
		t.Error("a message would name a flag wrongly")
	}
}

func TestWrongInputs(t *testing.T) {
	workflow := func(inputs ...string) []string { return append(inputs, "GITHUB_ACTIONS=true") }
	missing := filepath.Join(t.TempDir(), "missing")
	for name, c := range map[string]struct {
		args, environ []string
		stdin         string
		says, advises string
		code          usererror.Code
	}{
		"typo of an input":      {environ: workflow("INPUT_ATOMC=true"), says: `"atomc"`, advises: "atomic", code: usererror.UnknownInput},
		"underscore, beside":    {environ: workflow("INPUT_DRY_RUN=true", "INPUT_DRY-RUN="), says: `"dry_run"`, advises: "dry-run", code: usererror.UnknownInput},
		"lower case":            {environ: workflow("INPUT_atomic=true"), says: "INPUT_atomic", advises: "INPUT_ATOMIC", code: usererror.UnknownInput},
		"mixed case":            {environ: workflow("INPUT_Dry-Run=true", "INPUT_DRY-RUN=false"), says: "INPUT_Dry-Run", advises: "with:", code: usererror.UnknownInput},
		"unknown and empty":     {environ: workflow("INPUT_SORCE="), says: `"sorce"`, advises: "source", code: usererror.UnknownInput},
		"far from any":          {environ: workflow("INPUT_FILE=x"), says: `"file"`, advises: "Known are source, tags", code: usererror.UnknownInput},
		"typo of a flag":        {args: []string{"--dryrun"}, says: "--dryrun", advises: "--dry-run", code: usererror.UnknownInput},
		"its value is not told": {args: []string{"--github-tokn", "c4nary"}, says: "--github-tokn", advises: "--github-token", code: usererror.UnknownInput},
		"nor behind =":          {args: []string{"--pasword=c4nary"}, says: "--pasword", advises: "", code: usererror.UnknownInput},
		"no flag":               {args: []string{"c4nary"}, says: "argument 1", advises: "--help", code: usererror.UnknownInput},
		"one dash":              {args: []string{"-source", "x"}, says: "argument 1", advises: "--source", code: usererror.UnknownInput},
		"value missing":         {args: []string{"--source"}, says: "--source: the value is missing", code: usererror.InvalidInput},
		"value is a flag":       {args: []string{"--source", "--atomic"}, says: "--source: the value is missing", code: usererror.InvalidInput},
		"images from a file":    {args: []string{"--images", "@images.yml"}, says: "--images reads no file", advises: "$(cat FILE)", code: usererror.InvalidInput},
		"twice":                 {args: []string{"--concurrency", "1", "--concurrency", "2"}, says: "--concurrency comes twice", code: usererror.InvalidInput},
		"secret as argument":    {args: []string{"--github-token", "c4nary"}, says: "--github-token", advises: "@FILE", code: usererror.InvalidInput},
		"secret list, too":      {args: []string{"--registry-auth=c4nary"}, says: "--registry-auth", advises: "@FILE", code: usererror.InvalidInput},
		"file missing":          {args: []string{"--registry-auth", "@" + missing}, says: "no such file", advises: "@FILE", code: usererror.InvalidInput},
		"stdin for two":         {args: []string{"--registry-auth", "-", "--github-token", "-"}, says: "taken by --registry-auth", advises: "@FILE", code: usererror.InvalidInput},
		"too much stdin":        {args: []string{"--github-token", "-"}, stdin: strings.Repeat("x", largestSecretFile+1), says: "more than 1024 KiB", code: usererror.InvalidInput},
		"boolean":               {environ: workflow("INPUT_ATOMIC=yes"), says: `atomic: "yes" is not true or false`, code: usererror.InvalidInput},
		"boolean flag":          {args: []string{"--atomic=1"}, says: `--atomic: "1"`, code: usererror.InvalidInput},
		"choice":                {environ: workflow("INPUT_MISSING-CREDENTIALS=ignore"), says: `"ignore" is not skip or fail`, code: usererror.InvalidInput},
		"number":                {environ: workflow("INPUT_CONCURRENCY=four"), says: `"four" is neither auto nor a number from 1 to 64`, code: usererror.InvalidInput},
		"number, too low":       {environ: workflow("INPUT_CONCURRENCY=0"), says: `"0"`, code: usererror.InvalidInput},
		"number, too high":      {environ: workflow("INPUT_CONCURRENCY=1000000"), says: `"1000000"`, code: usererror.InvalidInput},
		"expression":            {environ: workflow("INPUT_IMMUTABLE-TAGS=v(1"), says: "immutable-tags: error parsing regexp: missing closing )", advises: "RE2", code: usererror.InvalidInput},
		"Perl's expressions":    {environ: workflow("INPUT_IMMUTABLE-TAGS=(?=x)"), says: "immutable-tags", advises: "RE2", code: usererror.InvalidInput},
		"platform":              {environ: workflow("INPUT_PLATFORMS=linux/amd64\namd64"), says: `platforms, line 2: "amd64"`, advises: "OS/ARCHITECTURE", code: usererror.InvalidInput},
		"all and one":           {environ: workflow("INPUT_PLATFORMS=all,linux/amd64"), says: "exclude each other", code: usererror.InvalidInput},
		"upper case":            {environ: workflow("INPUT_TAGS=ghcr.io/me/a:1\nghcr.io/Me/app:1"), says: `tags, line 2, "ghcr.io/Me/app:1"`, advises: `"me/app"`, code: usererror.InvalidTag},
		"bare word":             {environ: workflow("INPUT_TAGS=1.0.0"), says: "bare word", advises: "metadata-action", code: usererror.InvalidTag},
		"digest":                {environ: workflow("INPUT_TAGS=me/a:1,me/app@sha256:" + strings.Repeat("0", 64)), says: "line 1", advises: "digest", code: usererror.InvalidTag},
		"digest and tag":        {environ: workflow("INPUT_TAGS=me/app:1@sha256:" + strings.Repeat("0", 64)), says: "line 1", advises: "Write me/app:1: the digest", code: usererror.InvalidTag},
		"comment":               {environ: workflow("INPUT_TAGS=me/app:1\n# that is all"), says: "line 2, \"# that is all\": a list of destinations holds no comments", advises: "Leave", code: usererror.InvalidTag},
		"comma in lines":        {environ: workflow("INPUT_TAGS=me/a:1,me/b:1\nme/c:1"), says: "tags, line 1", advises: "line of its own", code: usererror.InvalidTag},
		"comma and no tag":      {environ: workflow("INPUT_TAGS=me/a:x,ghcr.io/me/b"), says: `"me/a:x" has a tag and "ghcr.io/me/b" has none`, advises: "comma", code: usererror.InvalidTag},
		"annotation's level":    {environ: workflow("INPUT_SOURCE=a\nb", "INPUT_ANNOTATIONS=a=b\nmanifest:org.x=y"), says: "annotations, line 2", advises: "DOCKER_METADATA_ANNOTATIONS_LEVELS: index", code: usererror.InvalidInput},
		"annotation, two":       {environ: workflow("INPUT_SOURCE=a\nb", "INPUT_ANNOTATIONS=manifest,index:org.x=y"), says: "annotations, line 1", advises: "DOCKER_METADATA_ANNOTATIONS_LEVELS: index", code: usererror.InvalidInput},
		"annotation, no value":  {environ: workflow("INPUT_SOURCE=a\nb", "INPUT_ANNOTATIONS=org.x"), says: `annotations, line 1: "org.x" is not KEY=VALUE`, advises: "index:KEY=VALUE", code: usererror.InvalidInput},
		"annotation, no key":    {environ: workflow("INPUT_SOURCE=a\nb", "INPUT_ANNOTATIONS=index:=x"), says: "annotations, line 1", advises: "key", code: usererror.InvalidInput},
		"annotation, spaces":    {environ: workflow("INPUT_SOURCE=a\nb", "INPUT_ANNOTATIONS=a b=x"), says: `"a b" is not the key`, advises: "key", code: usererror.InvalidInput},
		"annotation, twice":     {environ: workflow("INPUT_SOURCE=a\nb", "INPUT_ANNOTATIONS=a=x\nindex:a=y"), says: "annotations, line 2: a has another value", advises: "Leave one", code: usererror.InvalidInput},
		"annotation, one image": {environ: workflow("INPUT_SOURCE=./a.tar\n", "INPUT_ANNOTATIONS=a=x"), says: "annotations: the source is one image", advises: "DOCKER_METADATA_ANNOTATIONS_LEVELS: index", code: usererror.InvalidInput},
		"annotation, images":    {environ: workflow("INPUT_IMAGES=- {source: ./*.tar, tags: me/a:1}\n- {source: x, tags: me/b:1}", "INPUT_ANNOTATIONS=a=x"), says: `annotations: the source of image "b" is one image`, advises: "index", code: usererror.InvalidInput},
		"skip-existing alone":   {environ: workflow("INPUT_SKIP-EXISTING=true"), says: "skip-existing needs immutable-tags", advises: "immutable-tags", code: usererror.InvalidInput},
		"digest and immutable":  {environ: workflow("INPUT_PUSH-BY-DIGEST=true", "INPUT_IMMUTABLE-TAGS=.*"), says: "push-by-digest and immutable-tags exclude", advises: "No tag is written", code: usererror.InvalidInput},
		"digest and skip":       {environ: workflow("INPUT_PUSH-BY-DIGEST=true", "INPUT_SKIP-EXISTING=true"), says: "push-by-digest and skip-existing exclude", advises: "No tag is written", code: usererror.InvalidInput},
		"output":                {args: []string{"--output", "c4nary"}, says: "--output takes json", advises: "--output json", code: usererror.InvalidInput},
		"output without format": {args: []string{"--output"}, says: "--output takes json", advises: "--output json", code: usererror.InvalidInput},
		"quiet and verbose":     {args: []string{"--quiet", "--verbose"}, says: "exclude each other", advises: "one of them", code: usererror.InvalidInput},
		"typo of an own flag":   {args: []string{"--verbos"}, says: "--verbos", advises: "--verbose?", code: usererror.UnknownInput},
		"word in the middle":    {args: []string{"--atomic", "help"}, says: "argument 2", advises: "--help", code: usererror.UnknownInput},
		"password-env":          {environ: workflow("INPUT_REGISTRY-AUTH=- username: me\n  password-env: c4nary"), says: "line 2, column 3: password-env is for command lines", advises: "toJSON", code: usererror.InvalidAuth},
		"hostile password":      {args: []string{"--registry-auth", "-"}, stdin: "- username: me\n  password: @c4nary", says: "line 2, column 13", advises: "password-env: NAME", code: usererror.InvalidAuth},
		"tag flag":              {args: []string{"--tags", "me/app:"}, says: `--tags, line 1, "me/app:"`, code: usererror.InvalidTag},
		"item":                  {environ: workflow("INPUT_REGISTRY-AUTH=- usrname: c4nary"), says: `registry-auth, line 1, column 3: there is no key "usrname"`, advises: "username", code: usererror.UnknownInput},
	} {
		t.Run(name, func(t *testing.T) {
			_, bad := read(t, c.args, c.environ, c.stdin)
			if len(bad) != 1 {
				t.Fatalf("%d problems: %v", len(bad), bad)
			}
			text, advice := bad[0].Error(), usererror.Advice(bad[0])
			if !strings.Contains(text, c.says) || !strings.Contains(advice, c.advises) || !usererror.Is(bad[0], c.code) || advice == "" {
				t.Errorf("got %q, %q", text, advice)
			}
			if strings.Contains(text+advice, "c4nary") {
				t.Errorf("the value is repeated: %q, %q", text, advice)
			}
		})
	}
}

// TestUnderscores: a step without Docker has no variables with hyphens. Where the runner set
// one with hyphens, another with underscores is a typo, unless it says the same: act sets both
// in a step without Docker.
func TestUnderscores(t *testing.T) {
	for name, c := range map[string]struct {
		environ        []string
		dry, fail, bad bool
	}{
		"in a step without Docker": {[]string{"GITHUB_ACTIONS=true", "INPUT_DRY_RUN=true", "INPUT_MISSING_CREDENTIALS=fail"}, true, true, false},
		"there, by act":            {[]string{"GITHUB_ACTIONS=true", "INPUT_DRY_RUN=true", "INPUT_DRY-RUN=true"}, true, false, false},
		"empty":                    {[]string{"GITHUB_ACTIONS=true", "INPUT_DRY_RUN=", "INPUT_ATOMIC="}, false, false, false},
		"beside its default":       {[]string{"GITHUB_ACTIONS=true", "INPUT_DRY_RUN=true", "INPUT_DRY-RUN=false"}, false, false, true},
		"lower case":               {[]string{"GITHUB_ACTIONS=true", "INPUT_dry_run=true"}, false, false, true},
		"on a command line":        {[]string{"INPUT_DRY_RUN=true", "INPUT_DRY-RUN="}, true, false, false},
	} {
		s, bad := read(t, nil, c.environ, "")
		if s.DryRun != c.dry || s.FailOnMissing != c.fail || (len(bad) > 0) != c.bad {
			t.Errorf("%s: %+v, %v", name, s, bad)
		}
	}
}

// TestNewInputs: what they become, and that an index of parts may have annotations.
func TestNewInputs(t *testing.T) {
	s, bad := read(t, nil, []string{"GITHUB_ACTIONS=true", "INPUT_SOURCE=a.tar\n\nb.tar\n", "INPUT_TAGS=me/a:1", "INPUT_CONCURRENCY=AUTO", "INPUT_SKIP-EXISTING=true",
		"INPUT_IMMUTABLE-TAGS=v.*", "INPUT_THOROUGH=true", "INPUT_ANNOTATIONS=index:a.b=c=d\n\nx=\nindex:a.b=c=d"}, "")
	if len(bad) > 0 || s.Concurrency != 0 || !s.SkipExisting || !s.Thorough || s.PushByDigest ||
		!slices.Equal(s.Annotations, []Annotation{{"a.b", "c=d"}, {"x", ""}}) || s.Images[0].Source != "a.tar\n\nb.tar\n" {
		t.Errorf("%v: %+v", bad, s)
	}
	s, bad = read(t, []string{"--source", "a.tar", "--source", "", "--tags", "me/a", "--push-by-digest", "--annotations", "a=b", "--annotations", "c=d", "--verbose"}, nil, "")
	if len(bad) > 0 || !s.PushByDigest || s.Images[0].Source != "a.tar\n\n" || len(s.Annotations) != 2 {
		t.Errorf("%v: %+v", bad, s)
	}
}

// TestSecretFiles: a file that was meant is offered, and no value is repeated.
func TestSecretFiles(t *testing.T) {
	def := actionDefinition(t)
	t.Chdir(t.TempDir())
	if err := os.WriteFile("auth.yml", []byte("[]"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir("folder", 0o700); err != nil {
		t.Fatal(err)
	}
	for value, advises := range map[string]string{
		"@auth.yaml": "Did you mean @auth.yml?", "@./auht.yml": "Did you mean @./auth.yml?", "./auth.yml": "write --registry-auth @./auth.yml",
		"auth.yml": "write --registry-auth @auth.yml", "auth.yaml": "did you mean @auth.yml?", "folder": "Write @FILE", "@nothing-like-it": "Write @FILE",
		"hunter22": "Write @FILE", strings.Repeat("x", 5000): "Write @FILE", "@": "Write @FILE",
	} {
		a, _ := ParseArguments(def, []string{"--registry-auth", value})
		_, bad := Read(t.Context(), Sources{Definition: def, Arguments: a, Learn: func(string, redact.Text) {}})
		if len(bad) != 1 || !strings.Contains(usererror.Advice(bad[0]), advises) || strings.Contains(bad[0].Error(), "hunter22") {
			t.Errorf("%.40q: %v: %s", value, bad, usererror.Advice(bad[0]))
		}
	}
}

// TestWrongInputsComeInOneOrder: whoever runs it again finds each message where it was.
func TestWrongInputsComeInOneOrder(t *testing.T) {
	_, bad := read(t, nil, []string{"GITHUB_ACTIONS=true", "INPUT_ATOMIC=x", "INPUT_REFERRERS=x", "INPUT_CREATE-REPOSITORY=x", "INPUT_DRY-RUN=x", "INPUT_SUMMARY=x",
		"INPUT_REGISTRY-AUTH=- anonymous: x\n  insecure: x"}, "")
	var got []string
	for _, err := range bad {
		got = append(got, regexp.MustCompile(`[a-z-]+(?:: "x"| is neither)`).FindString(err.Error()))
	}
	want := []string{"anonymous is neither", "insecure is neither", `atomic: "x"`, `referrers: "x"`, `create-repository: "x"`, `dry-run: "x"`, `summary: "x"`}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

func FuzzInputs(f *testing.F) {
	f.Add("--source=./x", "--tags", "me/app:1", "INPUT_ATOMIC=true")
	f.Add("--dry-run", "false", "-", "INPUT_TAGS=/x:1,a b\n@")
	f.Add("--platforms", "linux/amd64,all", "--help", "INPUT_=x")
	f.Fuzz(func(t *testing.T, a, b, c, variable string) {
		_, bad := read(t, []string{a, b, c}, []string{variable, "GITHUB_ACTIONS=true"}, "x")
		for _, err := range bad {
			if len(err.Error()) > 4000 {
				t.Errorf("a message of %d bytes", len(err.Error()))
			}
		}
	})
}

// TestWordsThatAreNoFlags: who writes a command of another tool, or a word of ours with a
// typo, reads one error, and none of what was written.
func TestWordsThatAreNoFlags(t *testing.T) {
	for args, remedy := range map[string]string{
		"verfy results.json":                "Did you mean verify?",
		"copy ./hunter22.tar quay.io/a/b:1": "Every value belongs to a flag, as in --source ./image.tar",
		"--atomic copy ./hunter22.tar x":    "Every value belongs to a flag, as in --source ./image.tar",
	} {
		_, bad := ParseArguments(actionDefinition(t), strings.Fields(args))
		if len(bad) != 1 || !strings.Contains(string(usererror.Advice(bad[0])), remedy) || strings.Contains(bad[0].Error(), "hunter22") {
			t.Errorf("%s: %v", args, bad)
		}
	}
}

// TestVerifyArguments: verify takes a file and credentials, and never publishes.
func TestVerifyArguments(t *testing.T) {
	def := actionDefinition(t)
	for args, c := range map[string]struct{ file, says string }{
		"verify results.json":                                 {"results.json", ""},
		"verify - --registry-auth @auth.yml --quiet":          {"-", ""},
		"verify results.json --registry-auth - --output json": {"results.json", ""},
		"verify":                            {"-", "the file with results is missing"},
		"verify --quiet":                    {"-", "the file with results is missing"},
		"verify results.json --tags me/a:1": {"results.json", "--tags has no meaning for verify"},
		"verify - --registry-auth -":        {"-", "standard input is taken by verify"},
		"verify results.json more.json":     {"results.json", "argument 3 is not a flag"},
		"--quiet verify results.json":       {"", "argument 2 is not a flag"},
	} {
		a, bad := ParseArguments(def, strings.Fields(args))
		if a.Verify != c.file || (c.says == "") != (len(bad) == 0) || len(bad) > 0 && !strings.Contains(bad[0].Error(), c.says) {
			t.Errorf("%s: %+v, %v", args, a, bad)
		}
	}
}
