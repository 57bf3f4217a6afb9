package retry

import (
	"testing"
	"time"
)

func TestText(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second:             "0 s",
		0:                        "0 s",
		time.Microsecond:         "1 ms",
		40 * time.Millisecond:    "40 ms",
		99700 * time.Microsecond: "100 ms",
		380 * time.Millisecond:   "0.4 s",
		5540 * time.Millisecond:  "5.5 s",
		59940 * time.Millisecond: "59.9 s",
		59960 * time.Millisecond: "1 min 0 s",
		5 * time.Minute:          "5 min 0 s",
		62 * time.Minute:         "1 h 2 min",
	} {
		if got := Text(d); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}
