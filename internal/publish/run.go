package publish

import (
	"context"
	"sync"
	"time"

	"github.com/multi-registry-push/multi-registry-push/internal/credentials"
	"github.com/multi-registry-push/multi-registry-push/internal/imageref"
	"github.com/multi-registry-push/multi-registry-push/internal/report"
)

// Run carries out plan, which NewPlan made of q. Everything that happens, failures
// included, is said to emit, one event at a time; when Run returns, all that it
// started has ended. When ctx is cancelled, uploads end at once, nothing more is
// tagged, and with q.Atomic tags that have moved are put back.
func Run(ctx context.Context, q Request, plan Plan, emit func(report.Event)) {
	r := newRun(q, cancelledFirst(ctx, emit))
	defer r.finish(ctx)

	r.phase(report.Plan)
	if !r.announce(plan) {
		return
	}
	sites, source, disconnect := r.connect(ctx, plan)
	defer disconnect()
	defer r.settle(ctx, sites)

	r.phase(report.Login)
	ended, wait := r.login(ctx, sites, source)
	defer wait()
	if !r.mayCopy(ctx, sites, ended) {
		return
	}

	r.phase(report.Copy)
	goods, err := r.open(ctx, sites, source)
	if err != nil {
		r.sourceFailed(ctx, err)
		return
	}
	defer goods.close()

	switch {
	case r.DryRun:
		atOnce(sites, func(s *site) { r.compare(ctx, s, goods) })
	case r.Atomic:
		r.together(ctx, sites, goods)
	default:
		atOnce(sites, func(s *site) {
			r.bring(ctx, s, goods)
			moves := r.weigh(ctx, s, goods)
			r.write(ctx, s, moves, nil)
			r.verify(ctx, s, moves)
		})
	}
}

// cancelledFirst returns emit for one event at a time, but says that the run was
// cancelled before anything that happens after it.
func cancelledFirst(ctx context.Context, emit func(report.Event)) func(report.Event) {
	said := false
	return func(e report.Event) {
		if _, last := e.(report.Cancelled); ctx.Err() != nil && !said && !last {
			emit(report.Cancelled{At: report.At{Time: report.TimeOf(e)}})
		}
		said = said || ctx.Err() != nil
		emit(e)
	}
}

// bring brings the image to s, up to but without its tags.
func (r *run) bring(ctx context.Context, s *site, goods *goods) {
	shelf := goods.shelf(s)
	defer shelf.releaseAll()
	if s.waitForLogin(ctx) {
		r.copy(ctx, s, goods, shelf)
	}
}

// run holds what does not change while a run goes on.
type run struct {
	Request
	emit   func(report.Event)
	phases *phases
	broken *sync.Once // the source's failure is said once
}

func newRun(q Request, emit func(report.Event)) *run {
	if q.Now == nil {
		q.Now = time.Now
	}
	if q.Concurrency <= 0 {
		q.Concurrency = 4
	}
	if q.LoginGrace <= 0 {
		q.LoginGrace = 2 * time.Second
	}
	if q.VerifyPauses == nil {
		q.VerifyPauses = []time.Duration{200 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second}
	}
	var mu sync.Mutex
	return &run{Request: q, phases: &phases{}, broken: &sync.Once{}, emit: func(e report.Event) {
		mu.Lock()
		defer mu.Unlock()
		emit(e)
	}}
}

// connect makes the client of every enabled registry, and of a remote source; a
// source on the host of a destination shares its client.
func (r *run) connect(ctx context.Context, plan Plan) (sites []*site, source *origin, disconnect func()) {
	var hosts []Host
	for _, planned := range plan.Registries {
		if !planned.Enabled() {
			continue
		}
		insecure, said := planned.Insecure()
		if r.SourceRepository != nil && r.SourceRepository.Host == planned.Host && insecure != r.sourceIsInsecure(ctx, planned.Host) {
			insecure, said = false, true
		}
		if said && !insecure {
			r.emit(report.Notice{At: r.at(), Warning: true, Registry: planned.Host, Text: planned.Host +
				" is reached by verified TLS alone: insecure: true does not hold for all of its repositories that are used here"})
		}
		host := r.Connect(planned.Host, insecure, r.account(ctx, planned.Host, plan))
		hosts = append(hosts, host)
		sites = append(sites, newSite(planned, host))
	}
	if at := r.SourceRepository; at != nil {
		source = &origin{at: *at}
		for _, s := range sites {
			if s.Host == at.Host {
				source.host = s.host
			}
		}
		if source.host.Repository == nil {
			source.host = r.Connect(at.Host, r.sourceIsInsecure(ctx, at.Host), r.account(ctx, at.Host, plan))
			hosts = append(hosts, source.host)
		}
	}
	return sites, source, func() {
		for _, h := range hosts {
			h.Close()
		}
	}
}

func (r *run) sourceIsInsecure(ctx context.Context, host string) bool {
	if r.SourceRepository == nil || r.SourceRepository.Host != host {
		return false
	}
	item := r.Choose(ctx, *r.SourceRepository).Item
	return item != nil && item.Insecure
}

// account returns the credentials of a host's repositories: as planned, or, for one
// that only is read from, as chosen now.
func (r *run) account(ctx context.Context, host string, plan Plan) func(path string) credentials.Credential {
	return func(path string) credentials.Credential {
		repository := imageref.Repository{Host: host, Path: path}
		if c, ok := plan.choices[repository]; ok {
			return c
		}
		return r.Choose(ctx, repository)
	}
}

// atOnce calls f for every element of list at the same time and waits for all.
func atOnce[T any](list []T, f func(T)) {
	var wg sync.WaitGroup
	for _, e := range list {
		wg.Go(func() { f(e) })
	}
	wg.Wait()
}

// few calls f for every element of list, n at a time, and waits for all.
func few[T any](n int, list []T, f func(T)) {
	next := make(chan T)
	var wg sync.WaitGroup
	for range min(n, len(list)) {
		wg.Go(func() {
			for e := range next {
				f(e)
			}
		})
	}
	for _, e := range list {
		next <- e
	}
	close(next)
	wg.Wait()
}
