package app

import (
	"cmp"
	"context"
	"errors"
	"os"

	"github.com/multi-registry-push/multi-registry-push/internal/config"
	"github.com/multi-registry-push/multi-registry-push/internal/credentials"
	"github.com/multi-registry-push/multi-registry-push/internal/imageref"
	"github.com/multi-registry-push/multi-registry-push/internal/publish"
	"github.com/multi-registry-push/multi-registry-push/internal/registry"
	"github.com/multi-registry-push/multi-registry-push/internal/report"
	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
	"github.com/multi-registry-push/multi-registry-push/internal/verify"
)

// Exit statuses of verify beside those of a run.
const (
	exitUnknown   = 2 // a registry could not be asked, or the results are not all of them
	exitCancelled = 130
)

// verifyOnly is verify, unless an input is wrong.
func (s *step) verifyOnly(ctx context.Context, name string, bad []error) int {
	for _, err := range bad {
		s.problem("", err)
	}
	if len(bad) > 0 {
		return exitFailed
	}
	return s.verify(ctx, name)
}

// verify asks the registries for all that the results in a file say was published. It
// returns 0 if all is as it was, 1 if something differs or the results cannot be read, which is
// an input that is wrong, 2 if something is not known.
func (s *step) verify(ctx context.Context, name string) int {
	receipt, err := s.receipt(ctx, name)
	if ctx.Err() != nil {
		return exitCancelled
	}
	if err != nil {
		s.problem("", err)
		return exitFailed
	}
	for _, w := range s.warnings {
		s.out.print(report.Line{Kind: report.WarningLine, Text: w})
	}
	asker := s.newAsker(ctx, receipt)
	defer asker.close()
	findings := verify.Run(ctx, receipt, asker.digest)
	if ctx.Err() != nil {
		return exitCancelled
	}
	for _, f := range findings {
		if f.Status == verify.Same {
			s.out.print(report.Line{Text: f.String()})
		} else {
			s.problem(f.Reference.Host, &finding{f})
		}
	}
	s.out.print(report.Line{Text: verify.Summary(receipt, findings)})
	if s.json {
		text, err := verify.JSON(receipt, findings, s.out.clean)
		if err != nil {
			s.problem("", err)
			return exitUnknown
		}
		if s.out.results(text) != nil {
			return cmp.Or(verify.ExitStatus(receipt, findings), exitUnknown)
		}
	}
	return verify.ExitStatus(receipt, findings)
}

// finding is a finding as an error: its advice is that of its cause.
type finding struct{ verify.Finding }

func (f *finding) Error() string { return f.String() }
func (f *finding) Unwrap() error { return f.Err }

// problem prints an error and what to do about it.
func (s *step) problem(host string, err error) {
	text := usererror.Text(err)
	if advice := usererror.Advice(err); advice != "" {
		text += "\n" + advice
	}
	if !s.out.workflow {
		host = "" // the text begins with it
	}
	s.out.print(report.Line{Kind: report.ErrorLine, Title: host, Text: text})
}

// receipt reads the file of results, or standard input until ctx is done.
func (s *step) receipt(ctx context.Context, name string) (verify.Receipt, error) {
	unreadable := func(err error) (verify.Receipt, error) {
		return verify.Receipt{}, usererror.New(usererror.InvalidInput, "", "verify: the results cannot be read",
			"Write verify RESULTS.json, or verify - for standard input.", err)
	}
	from := s.env.Stdin
	switch {
	case name == "-" && s.env.StdinTerminal:
		s.out.waiting("verify")
	case name != "-":
		f, err := os.Open(name) // #nosec G304 -- whoever runs the program names it
		if err != nil {
			return unreadable(err)
		}
		defer func() { _ = f.Close() }()
		from = f
	}
	if from == nil {
		return unreadable(errors.New("there is no standard input"))
	}
	text, err := config.ReadUntil(ctx, from, verify.Largest)
	if err != nil {
		return unreadable(err)
	}
	return verify.ParseReceipt(name, text)
}

// asker asks registries, each through one client.
type asker struct {
	hosts    map[string]publish.Host
	accounts map[imageref.Repository]credentials.Credential
}

func (s *step) newAsker(ctx context.Context, receipt verify.Receipt) *asker {
	accounts := map[imageref.Repository]credentials.Credential{}
	insecure := map[string]bool{}
	for _, p := range receipt.Published {
		if _, known := accounts[p.Reference.Repository]; known {
			continue
		}
		c := s.resolver.For(ctx, p.Reference.Repository)
		accounts[p.Reference.Repository] = c
		insecure[p.Reference.Host] = insecure[p.Reference.Host] || c.Item != nil && c.Item.Insecure
	}
	a := &asker{hosts: map[string]publish.Host{}, accounts: accounts}
	for host, insecure := range insecure {
		a.hosts[host] = s.connect(host, insecure, func(repository string) credentials.Credential {
			return accounts[imageref.Repository{Host: host, Path: repository}]
		})
	}
	return a
}

func (a *asker) close() {
	for _, host := range a.hosts {
		host.Close()
	}
}

// digest returns what a reference serves, "" for nothing.
func (a *asker) digest(ctx context.Context, p verify.Published) (string, error) {
	account := a.accounts[p.Reference.Repository]
	d, err := a.hosts[p.Reference.Host].Repository(p.Reference.Path).Stat(ctx, p.Reference.Identifier())
	switch {
	case errors.Is(err, registry.ErrNotFound):
		return "", nil
	case err != nil && account.Skip != "" && refused(err):
		return "", usererror.New(usererror.MissingCredentials, p.Reference.Host,
			"the registry wants a login, and there are no credentials for it",
			"Give it an item in the file that --registry-auth names.", nil)
	case err != nil:
		return "", account.Refused(p.Reference.Host, err)
	}
	return d.Digest.String(), nil
}

func refused(err error) bool {
	return usererror.Is(err, usererror.NoPullPermission) || usererror.Is(err, usererror.WrongCredentials)
}
