package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"time"

	"github.com/multi-registry-push/multi-registry-push/internal/actions"
	"github.com/multi-registry-push/multi-registry-push/internal/config"
	"github.com/multi-registry-push/multi-registry-push/internal/publish"
	"github.com/multi-registry-push/multi-registry-push/internal/redact"
	"github.com/multi-registry-push/multi-registry-push/internal/report"
	"github.com/multi-registry-push/multi-registry-push/internal/source"
	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

// Exit statuses of the contract; report.Record knows the third, 130 for cancelled.
const (
	exitOK     = 0
	exitFailed = 1
)

// Main runs the program once and returns its exit status: 0 when no required registry
// failed, 1 when one did or an input was wrong, 130 when ctx was cancelled. In each of
// these cases it writes outputs and the summary.
func Main(ctx context.Context, env Env) (status int) {
	vars := actions.Variables(env.Environ)
	var paths source.Paths
	paths.Container, paths.Folders = actions.Folders(env.Environ, exists)
	out := newConsole(env.Stdout, env.Stderr, env.Environ, paths.Map)
	// no-color.org: any value but the empty one.
	out.colours = env.Terminal && !out.workflow && vars["NO_COLOR"] == "" && vars["TERM"] != "dumb"
	defer func() {
		if p := recover(); p != nil {
			out.text(failures, fmt.Sprintf("internal error, please report it: %v\n%s", p, debug.Stack()))
			status = exitFailed
		}
	}()
	def, err := config.ParseDefinition(env.Definition)
	if err != nil {
		out.text(failures, err.Error())
		return exitFailed
	}
	args, bad := config.ParseArguments(def, env.Args)
	out.level(args)
	switch {
	case args.Help:
		out.text(standard, helpText(def))
		return exitOK
	case args.Version:
		out.text(standard, versionText(env))
		return exitOK
	}
	job := out.runner.Job()
	learnSecrets(out.runner.Secrets(), vars, out.redactor)
	from := config.Sources{
		Definition: def,
		Arguments:  args,
		Variables:  out.runner.Inputs(),
		Workflow:   job.Workflow,
		Stdin:      env.Stdin,
		Learn:      out.redactor.Learn,
		Actor:      job.Actor,
	}
	if env.StdinTerminal {
		from.Waiting = func(input string) {
			out.text(failures, "--"+input+": type or paste it here, then press Ctrl-D in a line of its own")
		}
	}
	if from.Nothing() {
		out.text(failures, helpText(def))
		return exitFailed
	}
	set, wrong := config.Read(ctx, from)
	bad = append(bad, wrong...)
	tellPublic(out.redactor, out.runner, def, set)

	s := newStep(env, vars, job, paths, out, set)
	s.json = args.JSON
	if args.Verify != "" {
		return s.verifyOnly(ctx, args.Verify, bad)
	}
	request, plan, wrong := s.prepare(ctx)
	bad = append(bad, wrong...)
	s.emit(report.Started{At: s.at(), DryRun: set.DryRun})
	switch {
	case ctx.Err() != nil: // what was read by then may be half of it
		s.emit(report.Cancelled{At: s.at()})
		s.emit(report.Finished{At: s.at()})
	case len(bad) > 0:
		for _, err := range bad {
			s.emit(report.RunFailed{At: s.at(), Err: err})
		}
		s.emit(report.Finished{At: s.at()})
	default:
		s.run(ctx, request, plan)
	}
	return s.finish(def)
}

// learnSecrets makes those secrets of the environment known that package credentials has
// no use for: an error of a proxy or a provider could still repeat them.
func learnSecrets(secrets []redact.Text, vars map[string]string, redactor *redact.Redactor) {
	for _, secret := range secrets {
		redactor.Learn("", secret)
	}
	for _, name := range []string{"HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "DOCKER_HOST"} {
		user, password, written := userInfo(vars[name])
		redactor.Learn(user, redact.New(password))
		redactor.Learn("", redact.New(written))
	}
}

// prepare makes the request and its plan, and returns what is wrong with the source. It
// sends nothing, and looks at the source only if some registry is enabled, or if tags or
// registry-auth is too wrong to tell.
func (s *step) prepare(ctx context.Context) (request publish.Request, plan publish.Plan, bad []error) {
	if s.set.TagsEmpty && s.set.FailOnMissing {
		bad = append(bad, usererror.New(usererror.MissingCredentials, "",
			s.set.Name("tags")+" is empty, and missing-credentials is fail", "Look at the step or variable that should have filled it.", nil))
	}
	if len(s.set.Images) != 1 {
		return request, plan, append(bad, errors.New("several images are not published by this version"))
	}
	request = s.request()
	plan = publish.NewPlan(ctx, request)
	if !plan.Enabled() && !s.set.Undecided {
		return request, plan, bad
	}
	written := s.set.Images[0].Source
	spec, err := source.Parse(written, s.paths)
	switch {
	case written == "":
		bad = append(bad, usererror.New(usererror.InvalidSource, "", s.set.Name("source")+" is empty", "", nil))
	case err != nil:
		bad = append(bad, err)
	default:
		s.open(&request, spec)
		if err := source.Check(ctx, spec, s.sourceOptions(nil)); err != nil {
			bad = append(bad, err)
		}
	}
	return request, plan, bad
}

// run carries the request out.
func (s *step) run(ctx context.Context, request publish.Request, plan publish.Plan) {
	for _, w := range append(s.warnings, s.set.Warnings...) {
		s.emit(report.Notice{At: s.at(), Warning: true, Text: w})
	}
	if s.set.TagsEmpty {
		s.emit(report.Notice{At: s.at(), Warning: true, Text: "tags is empty: there is nothing to do"})
	}
	progress := s.startProgress()
	defer progress.stop()
	publish.Run(ctx, request, plan, func(e report.Event) {
		if _, last := e.(report.Finished); last {
			progress.stop() // the closing table belongs below the bars, not above them
		}
		s.emit(e)
	})
}

// finish writes outputs and summary and returns the exit status.
func (s *step) finish(def *config.Definition) int {
	status := s.record.ExitStatus()
	values := s.record.Outputs()
	outputs := make([]actions.Output, len(def.Outputs))
	for i, o := range def.Outputs {
		outputs[i] = actions.Output{Name: o.Name, Value: values[o.Name]}
	}
	if err := s.out.runner.SetOutputs(outputs); err != nil && (s.out.workflow || !errors.Is(err, actions.ErrNoFile)) {
		s.out.print(report.Line{Kind: report.ErrorLine, Title: "Outputs are missing", Text: fmt.Sprintf("writing the step's outputs: %v", err)})
		status = cmp.Or(status, exitFailed)
	}
	if s.set.Summary {
		if err := s.out.runner.AddSummary(s.record.Markdown(report.MaxSummary)); err != nil && !errors.Is(err, actions.ErrNoFile) {
			s.out.print(report.Line{Kind: report.WarningLine, Title: "The job summary is missing", Text: fmt.Sprintf("writing the job summary: %v", err)})
		}
	}
	if s.json {
		s.out.results(values["results"])
	}
	return status
}

func (s *step) at() report.At { return report.At{Time: s.now()} }

func nowOr(now func() time.Time) func() time.Time {
	if now == nil {
		return time.Now
	}
	return now
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
