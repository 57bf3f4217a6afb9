package publish

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/multi-registry-push/multi-registry-push/internal/retry"
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

// indexes returns the indexes of list.
func indexes[T any](list []T) []int {
	all := make([]int, len(list))
	for i := range list {
		all[i] = i
	}
	return all
}

// only returns the elements of list that keep holds for.
func only[T any](list []T, keep func(T) bool) []T {
	return slices.DeleteFunc(slices.Clone(list), func(e T) bool { return !keep(e) })
}

// future is a result that others wait for.
type future struct {
	done chan struct{}
	err  error // may be read once done is closed
	once sync.Once
}

func newFuture() *future { return &future{done: make(chan struct{})} }

// resolve sets the result, unless there is one.
func (f *future) resolve(err error) {
	f.once.Do(func() {
		f.err = err
		close(f.done)
	})
}

// pause waits for d, and reports whether that was not cut short.
func pause(ctx context.Context, d time.Duration) bool {
	return retry.SystemClock{}.Sleep(ctx, d) == nil
}

// What a run that is cancelled still does. A runner sends SIGINT to the step, SIGTERM 7.5 s later, and kills it
// after 2.5 s more (actions/runner, src/Runner.Sdk/ProcessInvoker.cs, _sigintTimeout and _sigtermTimeout).
const (
	writeTime    = 1500 * time.Millisecond // for the answer to a tag's write that has begun
	rollBackTime = 2500 * time.Millisecond // to put tags back, after that
)

var errNoTime = errors.New("the registry did not answer within the seconds that are left to a cancelled job")

// outlive returns a context that ends d after ctx does.
func outlive(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	return retry.Outlive(ctx, d, errNoTime)
}
