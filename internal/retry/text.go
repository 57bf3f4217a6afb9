package retry

import (
	"fmt"
	"time"
)

// Text writes a time as people say it: 40 ms, 0.4 s, 12.5 s, 2 min 5 s, 1 h 2 min. All that
// the program says of one time is rounded in the same way.
func Text(d time.Duration) string {
	d = max(d, 0)
	switch {
	case d == 0:
		return "0 s"
	case d < 100*time.Millisecond:
		return fmt.Sprintf("%d ms", max(d.Round(time.Millisecond)/time.Millisecond, 1))
	case d < time.Minute-50*time.Millisecond:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < time.Hour-500*time.Millisecond:
		d = d.Round(time.Second)
		return fmt.Sprintf("%d min %d s", d/time.Minute, d%time.Minute/time.Second)
	}
	d = d.Round(time.Minute)
	return fmt.Sprintf("%d h %d min", d/time.Hour, d%time.Hour/time.Minute)
}
