package retry

import (
	"math/rand/v2"
	"time"
)

// Backoff is how long to wait between tries: First before the first retry, doubled each
// time up to Longest.
type Backoff struct{ First, Longest time.Duration }

// Pause returns the wait before retry n, from 0. Half of it is random, so that those who
// failed together do not come back together.
func (b Backoff) Pause(n int) time.Duration {
	pause := b.Longest
	if n < 20 {
		pause = min(b.Longest, b.First<<n)
	}
	return pause/2 + rand.N(pause/2+1) // #nosec G404 -- jitter
}

// Policy says when an operation is tried again, and when no more.
type Policy struct {
	Backoff Backoff
	// Budget is how long an operation is tried again without progress.
	Budget time.Duration
	// Least is how many tries there are whatever time they take.
	Least int
	// Most is how many tries there are at all; 0 means as many as Budget allows.
	Most int
	// LongestWait is the longest wait that the other side may ask for; 0 means Budget.
	LongestWait time.Duration
}

// Tries counts the failed tries of one operation since its last progress.
type Tries struct {
	Since time.Time // the operation's beginning, or its last progress
	Count int
}

// Next counts a failed try and returns how long to wait before the next one; again is
// false if there is none. asked is how long the other side wants us to wait, 0 if it
// does not say.
func (t *Tries) Next(p Policy, now time.Time, asked time.Duration) (pause time.Duration, again bool) {
	pause = max(p.Backoff.Pause(t.Count), asked)
	t.Count++
	longest := p.LongestWait
	if longest == 0 {
		longest = p.Budget
	}
	switch {
	case asked > longest, p.Most > 0 && t.Count >= p.Most:
		return 0, false
	case t.Count >= p.Least && now.Add(pause).Sub(t.Since) > p.Budget:
		return 0, false
	}
	return pause, true
}
