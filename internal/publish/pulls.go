package publish

import (
	"fmt"
	"time"

	"github.com/multi-registry-push/multi-registry-push/internal/imageref"
	"github.com/multi-registry-push/multi-registry-push/internal/registry"
)

// notePullsLeft says how many pulls the registry of a source still allows, with a warning
// when few are left: a job that runs out of them fails in the middle of something else.
func (r *run) notePullsLeft(im *sourceImage) {
	for _, part := range im.plan.Parts {
		if at := part.Repository(); at != nil {
			if l := r.host(at.Host).Stats().RateLimit; l != nil && l.Limit > 0 {
				text, few := pullsLeft(*at, *l)
				r.note(Note{Host: at.Host, Warning: few}, text)
			}
		}
	}
}

func pullsLeft(at imageref.Repository, l registry.RateLimit) (text string, few bool) {
	text = fmt.Sprintf("%s: %d of %d pulls left", at.Host, l.Remaining, l.Limit)
	if l.Window > 0 {
		text += " in " + period(l.Window)
	}
	if few = l.Remaining*10 <= l.Limit; few {
		text += "; log in, or use an account with a higher limit"
	}
	return text, few
}

// period writes a window of time: 6 hours.
func period(d time.Duration) string {
	for _, unit := range []struct {
		of   time.Duration
		name string
	}{{time.Hour, "hour"}, {time.Minute, "minute"}, {time.Second, "second"}} {
		if n := d / unit.of; n > 0 && d%unit.of == 0 {
			if n == 1 {
				return "1 " + unit.name
			}
			return fmt.Sprintf("%d %ss", n, unit.name)
		}
	}
	return d.String()
}
