package transport

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Stats count what went over the wire so far.
type Stats struct {
	Requests int64 // sent, token requests and retries included
	Retries  int64
	// BytesSent counts bodies of blobs and manifests, those sent twice included.
	BytesSent int64
	// RateLimit is what the registry last said of it, nil if it never did.
	RateLimit *RateLimit
}

// RateLimit is what a registry says of pulls, such as Docker Hub's
// ratelimit-limit: 100;w=21600.
type RateLimit struct {
	Limit     int
	Remaining int
	Window    time.Duration // 0 if not said
}

// Stats returns what went over the wire so far.
func (h *Host) Stats() Stats {
	s := Stats{Requests: h.requests.Load(), Retries: h.retries.Load(), BytesSent: h.sent.Load()}
	if limit := h.limit.Load(); limit != nil {
		copied := *limit
		s.RateLimit = &copied
	}
	return s
}

// learnLimit reads ratelimit-limit: 100;w=21600 and ratelimit-remaining.
func (h *Host) learnLimit(header http.Header) {
	limit, window, ok := parseRateLimit(header.Get("RateLimit-Limit"))
	remaining, _, ok2 := parseRateLimit(header.Get("RateLimit-Remaining"))
	if ok && ok2 {
		h.limit.Store(&RateLimit{Limit: limit, Remaining: remaining, Window: window})
	}
}

func parseRateLimit(value string) (n int, window time.Duration, ok bool) {
	parts := strings.Split(value, ";")
	n, err := strconv.Atoi(strings.TrimSpace(parts[0]))
	if err != nil || n < 0 {
		return 0, 0, false
	}
	for _, part := range parts[1:] {
		if seconds, found := strings.CutPrefix(strings.TrimSpace(part), "w="); found {
			if s, err := strconv.Atoi(seconds); err == nil && s >= 0 && s < 1<<31 {
				window = time.Duration(s) * time.Second
			}
		}
	}
	return n, window, true
}
