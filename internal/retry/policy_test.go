package retry

import (
	"testing"
	"time"
)

// drive fails every try at once and returns how many there were, and how long that took.
func drive(p Policy, asked time.Duration) (tries int, took time.Duration) {
	start := time.Date(2026, 11, 21, 18, 0, 0, 0, time.UTC)
	now := start
	failed := Tries{Since: start}
	for failed.Count < 1000 {
		pause, again := failed.Next(p, now, asked)
		if !again {
			break
		}
		now = now.Add(pause)
	}
	return failed.Count, now.Sub(start)
}

func TestPolicy(t *testing.T) {
	backoff := Backoff{First: 500 * time.Millisecond, Longest: 30 * time.Second}
	for name, test := range map[string]struct {
		policy      Policy
		asked       time.Duration
		least, most int
		within      time.Duration
	}{
		"a budget":                         {Policy{Backoff: backoff, Budget: 5 * time.Minute}, 0, 10, 40, 5 * time.Minute},
		"so many tries":                    {Policy{Backoff: backoff, Budget: time.Hour, Most: 4}, 0, 4, 4, 10 * time.Second},
		"so many at least":                 {Policy{Backoff: backoff, Least: 3, LongestWait: time.Minute}, 0, 3, 3, time.Minute},
		"a wait that is asked for":         {Policy{Backoff: backoff, Budget: time.Minute}, 25 * time.Second, 3, 3, time.Minute},
		"a wait longer than the budget":    {Policy{Backoff: backoff, Budget: time.Minute, Least: 9}, time.Hour, 1, 1, 0},
		"a wait longer than any we accept": {Policy{Backoff: backoff, Budget: time.Hour, LongestWait: time.Second}, time.Minute, 1, 1, 0},
	} {
		if tries, took := drive(test.policy, test.asked); tries < test.least || tries > test.most || took > test.within {
			t.Errorf("%s: %d tries in %v", name, tries, took)
		}
	}
}

func TestBackoff(t *testing.T) {
	b := Backoff{First: time.Second, Longest: 30 * time.Second}
	for n, most := range []time.Duration{1, 2, 4, 8, 16, 30, 30} {
		most *= time.Second
		for range 100 {
			if got := b.Pause(n); got < most/2 || got > most {
				t.Fatalf("Pause(%d) = %v, want %v to %v", n, got, most/2, most)
			}
		}
	}
	if got := b.Pause(1 << 30); got < 15*time.Second || got > 30*time.Second {
		t.Errorf("Pause after very many = %v", got)
	}
}
