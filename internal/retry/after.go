package retry

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// After reads Retry-After, in seconds or as a date (RFC 9110, 10.2.3): how long the
// other side asks to wait from now on, 0 if it does not say.
func After(h http.Header, now time.Time) time.Duration {
	value := strings.TrimSpace(h.Get("Retry-After"))
	if value == "" {
		return 0
	}
	if seconds, err := strconv.ParseFloat(value, 64); err == nil {
		if !(seconds > 0) {
			return 0
		}
		const most = 365 * 24 * time.Hour // keeps the product within a Duration
		return time.Duration(min(seconds, most.Seconds()) * float64(time.Second))
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}
