package blobcache

// signal wakes everybody who waits for it. Whoever waits takes the channel under
// the mutex that guards what is waited for, so that nothing is missed.
type signal struct{ ch chan struct{} }

// wait returns a channel that is closed by the next broadcast.
func (s *signal) wait() <-chan struct{} {
	if s.ch == nil {
		s.ch = make(chan struct{})
	}
	return s.ch
}

func (s *signal) broadcast() {
	if s.ch != nil {
		close(s.ch)
		s.ch = nil
	}
}

// slots bounds how many fetches read from the source at a time.
type slots struct {
	free   int
	wanted int // fetches that wait for one
}
