package publish

import (
	"fmt"
	"runtime/debug"
	"sync"
)

// panicError is a panic in a goroutine of this package, with the stack of that goroutine.
type panicError struct {
	value any
	stack []byte
}

func (e *panicError) Error() string { return fmt.Sprintf("internal error: %v\n%s", e.value, e.stack) }

// group runs functions at once and waits for all. A panic in one of them comes up again in
// the goroutine that waits, which is where an error of what it was for is made of it.
type group struct {
	wg    sync.WaitGroup
	mu    sync.Mutex
	first *panicError
}

func (g *group) run(f func()) {
	g.wg.Go(func() {
		defer func() {
			if v := recover(); v != nil {
				g.mu.Lock()
				defer g.mu.Unlock()
				if g.first == nil {
					g.first = caught(v)
				}
			}
		}()
		f()
	})
}

func (g *group) wait() {
	g.wg.Wait()
	if g.first != nil {
		panic(g.first)
	}
}

// caught returns v as a panicError, with the stack of where it came up first.
func caught(v any) *panicError {
	if e, ok := v.(*panicError); ok {
		return e
	}
	return &panicError{v, debug.Stack()}
}

// protect calls f and returns a panic in it as an error.
func protect(f func()) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = caught(v)
		}
	}()
	f()
	return nil
}

// atOnce calls f for every element of list at the same time and waits for all.
func atOnce[T any](list []T, f func(T)) {
	var g group
	for _, e := range list {
		g.run(func() { f(e) })
	}
	g.wait()
}

// limited calls f for every element of list, at most n at a time and in the list's order,
// and waits for all.
func limited[T any](n int, list []T, f func(T)) {
	var g group
	slots := make(chan struct{}, n)
	for _, e := range list {
		slots <- struct{}{}
		g.run(func() {
			defer func() { <-slots }()
			f(e)
		})
	}
	g.wait()
}

// future is a result that others wait for.
type future struct {
	done chan struct{}
	err  error // may be read once done is closed
}

func newFuture() *future { return &future{done: make(chan struct{})} }

// resolve sets the result. It is called once.
func (f *future) resolve(err error) {
	f.err = err
	close(f.done)
}
