package retry

import (
	"net/http"
	"testing"
	"time"
)

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 21, 18, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"":                     0,
		"7":                    7 * time.Second,
		" 7 ":                  7 * time.Second,
		"1.5":                  1500 * time.Millisecond,
		"-3":                   0,
		"NaN":                  0,
		"soon":                 0,
		"99999999999999999999": 365 * 24 * time.Hour,
		now.Add(90 * time.Second).Format(http.TimeFormat): 90 * time.Second,
		now.Add(-time.Hour).Format(http.TimeFormat):       0,
	} {
		if got := After(http.Header{"Retry-After": {value}}, now); got != want {
			t.Errorf("After(%q) = %v, want %v", value, got, want)
		}
	}
}
