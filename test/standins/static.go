package standins

import (
	"sync"
	"testing"
	"time"
)

// Static is a registry with user names and passwords.
type Static struct {
	Host string

	mu        sync.Mutex
	passwords map[string]string
	readers   map[string]bool
}

// NewStatic puts a registry on the internet, as ghcr.io, Quay and most others are.
func NewStatic(t testing.TB, n *Internet, host string) *Static {
	t.Helper()
	s := &Static{Host: host, passwords: map[string]string{}, readers: map[string]bool{}}
	front := newTokenFront(t, n, host, time.Now, s.accepts)
	front.reader = func(password string) bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.readers[password]
	}
	return s
}

// Allow lets a user in; with readOnly the password does not push.
func (s *Static) Allow(user, password string, readOnly bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.passwords[user+":"+password], s.readers[password] = password, readOnly
}

func (s *Static) accepts(user, password string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if password == "" || s.passwords[user+":"+password] != password {
		return errIncorrect
	}
	return nil
}
