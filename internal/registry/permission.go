package registry

import (
	"context"
	"sync"
)

// permission is what is known about pushing to a repository. Where it is proved, a
// refusal of a question is no matter of rights.
type permission struct {
	mu      sync.Mutex
	proved  bool
	running int           // attempts to prove it
	ended   chan struct{} // closed when nothing runs any more, or it is proved; nil where nobody waits for that
}

// begin says that the permission is being proved, until end is called.
func (p *permission) begin() (end func(proved bool)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running++
	return func(proved bool) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.running--
		p.proved = p.proved || proved
		if p.ended != nil && (p.proved || p.running == 0) {
			close(p.ended)
			p.ended = nil
		}
	}
}

// is reports whether the permission is proved, as far as is known.
func (p *permission) is() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.proved
}

// wait reports whether the permission is proved. It waits for an attempt that is under
// way, but starts none.
func (p *permission) wait(ctx context.Context) bool {
	for {
		p.mu.Lock()
		if p.proved || p.running == 0 {
			defer p.mu.Unlock()
			return p.proved
		}
		if p.ended == nil {
			p.ended = make(chan struct{})
		}
		ended := p.ended
		p.mu.Unlock()
		select {
		case <-ended:
		case <-ctx.Done():
			return false
		}
	}
}
