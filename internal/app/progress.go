package app

import (
	"sync"
	"time"

	"github.com/multi-registry-push/multi-registry-push/internal/report"
)

// progress shows, while a run goes on, how far it is: live bars on a terminal, else a
// line now and then.
type progress struct {
	once sync.Once
	end  func()
}

// stop ends the display and waits for what draws it. It may be called twice.
func (p *progress) stop() { p.once.Do(p.end) }

func (s *step) startProgress() *progress {
	if !s.env.Terminal || s.out.workflow || s.out.quiet || s.json {
		return every(time.Second, s.log.Tick, func() {})
	}
	live := report.NewLive(s.env.Stdout, s.log, s.width)
	out, errors := s.out.redirect(live, live)
	return every(200*time.Millisecond, func(now time.Time) {
		live.Tick(now)
		s.log.Tick(now)
	}, func() {
		s.out.redirect(out, errors)
		live.Close()
	})
}

// every calls tick until the progress is stopped, which calls then.
func every(interval time.Duration, tick func(time.Time), then func()) *progress {
	ticker := time.NewTicker(interval)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case now := <-ticker.C:
				tick(now)
			case <-stop:
				return
			}
		}
	}()
	return &progress{end: func() {
		ticker.Stop()
		close(stop)
		<-stopped
		then()
	}}
}

// width is that of the terminal, as it is now.
func (s *step) width() int {
	if s.env.Width == nil {
		return 0
	}
	return s.env.Width()
}
