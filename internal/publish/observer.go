package publish

import "time"

// Observer is told what goes on, for progress and the log. It holds no truth: all that
// it is told stands in the Result, too. Its methods may be called from several goroutines
// at once, but for each registry one after the other.
type Observer interface {
	// Phase is called when a registry enters a phase, and when it leaves it.
	Phase(host string, p Phase, at time.Time, change PhaseChange)
	// Bytes is called when more bytes of blobs turn out to be needed (or fewer:
	// negative), when bytes were sent (or turned out to be lost: negative), and when the
	// registry confirmed that a blob has arrived, with its size.
	Bytes(host string, expected, sent, arrived int64)
	// Image is called when it is known what is published.
	Image(index int, image ImageResult)
	// Reference is called with the last word on a reference, the moment it is known.
	Reference(host string, r ReferenceResult)
	// Note is called for what people should read while it happens. A failure comes
	// as its own kind, with the registry that it concerns.
	Note(n Note)
	// Failure is called once for each failure. Host is empty where none is concerned.
	Failure(host string, f Failure)
}

// PhaseChange is what an observer is told of a phase.
type PhaseChange int

// A phase is PhaseFailed when it ended without what it is for, if only in part: of a registry
// with two repositories, one was not logged in to. Why is told by Failure, before or after.
const (
	PhaseBegan PhaseChange = iota
	PhaseDone
	PhaseFailed
)
