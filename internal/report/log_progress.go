package report

import (
	"time"

	"github.com/multi-registry-push/multi-registry-push/internal/retry"
)

// Progress returns the copies that are under way at now, in the order of the registries;
// none of a run that was cancelled, which copies nothing to its end.
func (l *Log) Progress(now time.Time) []Progress {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.progress(now)
}

func (l *Log) progress(now time.Time) []Progress {
	if l.cancelled {
		return nil
	}
	var all []Progress
	for _, g := range l.registries {
		if g.under() && !g.failed {
			p := g.progress(now)
			p.Growing = !l.known()
			all = append(all, p)
		}
	}
	return all
}

// known reports whether it is known what is to be published.
func (l *Log) known() bool { return len(l.digests)+l.unknown >= l.images }

// Tick prints a line for each copy under way, or one for logins or a source that take their
// time before there is anything to copy, if the last ones are some seconds old:
// five at first, more later, so that the log of a long run stays readable. Call it
// about once a second.
func (l *Log) Tick(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	under := l.progress(now)
	reading := !l.known() && !l.started.IsZero() && !l.cancelled
	if l.closed || len(under) == 0 && !reading || len(under) > 0 && !l.o.Progress {
		return
	}
	if l.nextTick.IsZero() {
		l.nextTick = now.Add(interval(0))
		return
	}
	if now.Before(l.nextTick) {
		return
	}
	l.nextTick = now.Add(interval(now.Sub(l.started)))
	for _, p := range under {
		l.say("%s", p)
	}
	switch {
	case len(under) > 0:
	case !l.loggedIn: // an image that is known is not told before
		l.say("logging in, %s so far", retry.Text(now.Sub(l.started)))
	default:
		l.say("reading the image, %s so far", retry.Text(now.Sub(l.started)))
	}
}

// interval is the time between progress lines of a run that is this old.
func interval(age time.Duration) time.Duration {
	switch {
	case age < 2*time.Minute:
		return 5 * time.Second
	case age < 10*time.Minute:
		return 10 * time.Second
	}
	return 30 * time.Second
}
