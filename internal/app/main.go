package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"time"

	"github.com/multi-registry-push/multi-registry-push/internal/actions"
	"github.com/multi-registry-push/multi-registry-push/internal/config"
	"github.com/multi-registry-push/multi-registry-push/internal/credentials"
	"github.com/multi-registry-push/multi-registry-push/internal/imageref"
	"github.com/multi-registry-push/multi-registry-push/internal/publish"
	"github.com/multi-registry-push/multi-registry-push/internal/redact"
	"github.com/multi-registry-push/multi-registry-push/internal/report"
	"github.com/multi-registry-push/multi-registry-push/internal/source"
	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

// Exit statuses of the contract; report.ExitStatus knows the third, 130 for cancelled.
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
	paths.Seen = actions.Seen(env.Environ, exists)
	paths.Contained = actions.Contained(env.Environ, exists)
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
	from := inputs(env, def, args, out, job)
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
	return s.finish(def, s.carryOut(ctx, def, bad))
}

// inputs says where the inputs are.
func inputs(env Env, def *config.Definition, args config.Arguments, out *console, job actions.Job) config.Sources {
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
		from.Waiting = func(input string) { out.waiting("--" + input) }
	}
	return from
}

// carryOut publishes what the inputs ask for, unless something is wrong with them; bad is
// what is wrong as far as that is known.
func (s *step) carryOut(ctx context.Context, def *config.Definition, bad []error) publish.Result {
	plan, wrong := s.prepare(ctx)
	bad = append(bad, wrong...)
	switch {
	case ctx.Err() != nil: // what was read by then may be half of it
		s.log.Cancelled()
		return publish.Result{Start: s.now(), End: s.now(), DryRun: s.set.DryRun, Cancelled: true}
	case len(bad) > 0:
		return s.refuse(bad)
	}
	// A kill leaves a truth, too. Whether the file can be written, finish reports.
	_ = s.out.runner.SetOutputs(outputs(def, publish.Unended(plan, s.now(), s.clean)))
	return s.run(ctx, plan)
}

// refuse is the result of a run whose inputs are wrong.
func (s *step) refuse(bad []error) publish.Result {
	result := publish.Result{Start: s.now(), DryRun: s.set.DryRun}
	for _, err := range apart(bad) {
		f := publish.NewFailure(err, s.now(), s.clean)
		result.Failures = append(result.Failures, f)
		s.log.Failure("", f)
	}
	result.End = s.now()
	return result
}

// apart returns errors that are joined one by one, since each has a remedy of its own.
func apart(all []error) (out []error) {
	for _, err := range all {
		if joined, ok := err.(interface{ Unwrap() []error }); ok {
			out = append(out, apart(joined.Unwrap())...)
		} else {
			out = append(out, err)
		}
	}
	return out
}

// learnSecrets makes those secrets of the environment known that package credentials has
// no use for: an error of a proxy or a provider could still repeat them.
func learnSecrets(secrets []redact.Text, vars map[string]string, redactor *redact.Redactor) {
	for _, secret := range secrets {
		redactor.Learn("", secret)
	}
	for _, name := range []string{"HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy",
		"DOCKER_HOST"} {
		user, password, written := userInfo(vars[name])
		redactor.Learn(user, redact.New(password))
		redactor.Learn("", redact.New(written))
	}
}

// prepare makes the plan, and returns what is wrong with the sources. It sends nothing, and
// looks at sources only if some registry is enabled, or if tags or registry-auth is too wrong
// to tell.
func (s *step) prepare(ctx context.Context) (plan publish.Plan, bad []error) {
	if s.set.TagsEmpty && s.set.FailOnMissing {
		bad = append(bad, usererror.New(usererror.MissingCredentials, "",
			s.set.Name("tags")+" is empty, and missing-credentials is fail",
			"Look at the step or variable that should have filled it.", nil))
	}
	resolved := map[imageref.Repository]credentials.Credential{}
	resolve := func(repository imageref.Repository) {
		if _, known := resolved[repository]; !known {
			resolved[repository] = s.resolver.For(ctx, repository)
		}
	}
	for _, one := range s.set.Images {
		for _, d := range one.Destinations {
			resolve(d.Reference.Repository)
		}
	}
	plan = publish.NewPlan(*s.set, resolved)
	plan.Policy.Untrusted = s.untrusted
	for i := range plan.Images {
		if !plan.Publishes(i) && !s.set.Undecided {
			continue
		}
		bad = append(bad, s.parseSource(ctx, &plan.Images[i], s.set.Images[i].Source)...)
		for _, part := range plan.Images[i].Parts {
			if at := part.Repository(); at != nil {
				resolve(*at)
			}
		}
	}
	s.unused = unusedItems(s.set, plan, resolved)
	plan.Skipped = append(plan.Skipped, emptyItems(s.set, plan, resolved)...)
	return plan, bad
}

// parseSource reads the source of one image. What is wrong with what it names is an error of
// the input too, unless there are several images: then it fails its image alone.
func (s *step) parseSource(ctx context.Context, one *publish.Image, written string) []error {
	if written == "" {
		return []error{usererror.New(usererror.InvalidSource, "", s.set.Name("source")+" is empty", "", nil)}
	}
	specs, merge, err := source.ParseAll(written, s.paths)
	if err != nil {
		return s.ofItem(*one, err)
	}
	one.Parts, one.Merge = specs, merge
	switch {
	case s.set.Several:
		return nil
	case merge:
		err = source.CheckMerged(ctx, specs, s.sourceOptions(*one, nil))
	default:
		err = source.Check(ctx, specs[0], s.sourceOptions(*one, nil))
	}
	if err != nil {
		return []error{err}
	}
	return nil
}

// ofItem returns the errors in err, each with the item of images that it is about, if there are any.
func (s *step) ofItem(one publish.Image, err error) []error {
	all := apart([]error{err})
	for i, e := range all {
		if s.set.Several {
			all[i] = fmt.Errorf("%s, line %d: %w", s.set.Name("images"), one.Line, e)
		}
	}
	return all
}

// run carries the plan out.
func (s *step) run(ctx context.Context, plan publish.Plan) publish.Result {
	s.log.Plan(plan)
	for _, w := range append(s.warnings, s.set.Warnings...) {
		s.note(publish.Note{Warning: true}, w)
	}
	for _, u := range s.unused {
		s.note(publish.Note{Warning: u.Warning()}, u.String())
	}
	if s.set.TagsEmpty {
		s.note(publish.Note{Warning: true}, "tags is empty: there is nothing to do")
	}
	progress := s.startProgress()
	defer progress.stop()
	stop := context.AfterFunc(ctx, s.log.Cancelled)
	defer stop()
	result := publish.Run(ctx, plan, s.deps(plan), s.log)
	progress.stop() // the closing table belongs below the bars, not above them
	s.notesMu.Lock()
	defer s.notesMu.Unlock()
	result.Notes = append(result.Notes, s.notes...)
	slices.SortStableFunc(result.Notes, func(a, b publish.Note) int { return a.At.Compare(b.At) })
	return result
}

// finish writes the end of the log, outputs and summary and returns the exit status.
func (s *step) finish(def *config.Definition, result publish.Result) int {
	s.log.Result(result)
	status := report.ExitStatus(result, !s.out.workflow)
	if err := s.out.runner.SetOutputs(outputs(def, result)); err != nil &&
		(s.out.workflow || !errors.Is(err, actions.ErrNoFile)) {
		s.out.print(report.Line{Kind: report.ErrorLine, Title: "Outputs are missing",
			Text: string(s.clean("writing the step's outputs: " + err.Error()))})
		status = cmp.Or(status, exitFailed)
	}
	if s.set.Summary {
		if err := s.out.runner.AddSummary(report.Markdown(result, report.MaxSummary)); err != nil &&
			!errors.Is(err, actions.ErrNoFile) {
			s.out.print(report.Line{Kind: report.WarningLine, Title: "The job summary is missing",
				Text: string(s.clean("writing the job summary: " + err.Error()))})
		}
	}
	if s.json && s.out.results(report.JSON(result, 0)) != nil {
		status = cmp.Or(status, exitFailed)
	}
	return status
}

// outputs returns the step's outputs in the order of their definition.
func outputs(def *config.Definition, result publish.Result) []actions.Output {
	values := report.Outputs(result)
	all := make([]actions.Output, len(def.Outputs))
	for i, o := range def.Outputs {
		all[i] = actions.Output{Name: o.Name, Value: values[o.Name]}
	}
	return all
}

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
