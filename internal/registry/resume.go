package registry

import (
	"context"
	"errors"
	"net/http"

	"github.com/multi-registry-push/multi-registry-push/internal/registry/transport"
)

const (
	// mostTwice is how often a blob is sent again from its start after the registry
	// said that it is not what its digest says.
	mostTwice = 1
	// mostAsked is how often in a row a registry may disagree on how far it got.
	mostAsked = 3
	// mostStatusErrors is how often a registry may answer 5xx when it is asked how far
	// an upload got; then that one is given up.
	mostStatusErrors = 3
)

// sessionState is what became of an upload after a request of it failed.
type sessionState int

const (
	sessionKnown sessionState = iota // the registry may still have it
	sessionLost                      // what it has is of no use
	sessionGone                      // it knows nothing of it
)

// resume decides how to go on after err. It returns Uploaded if the blob arrived
// after all; else an error, which tells by transport.Transient whether to go on.
func (t *transfer) resume(ctx context.Context, err error) (How, error) {
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	if _, ok := errors.AsType[*contentError](err); ok {
		return "", err
	}
	if answer, ok := errors.AsType[*Error](err); ok && t.byPut &&
		(answer.Status >= http.StatusInternalServerError || answer.Status == http.StatusRequestedRangeNotSatisfiable) {
		t.failedPuts++
	}
	start := t.session.offset
	became, err := t.judge(err)
	if became == sessionKnown && !transport.Transient(err) {
		return "", err
	}
	stuck := t.stuck(err, start)
	if became == sessionKnown && t.wholeOnly() {
		became = sessionLost
	}
	if became == sessionKnown {
		asked, askErr := t.askAgain(ctx)
		if askErr != nil {
			return "", askErr
		}
		became = t.check(asked, start)
	}
	if became == sessionKnown {
		t.noteBreak(stuck && t.session.offset <= start)
		t.back(t.session.offset)
		t.farther(t.session.offset)
		return "", err
	}
	// Before everything is sent again: it may be only the answer that was lost.
	if became == sessionGone && t.told >= t.d.Size && t.arrivedAfterAll(ctx) {
		t.back(t.d.Size)
		t.session = nil
		return Uploaded, nil
	}
	t.noteBreak(stuck)
	// Without anything kept, to have got further than ever before is progress too.
	t.farther(t.told)
	t.restart(became == sessionLost)
	return "", err
}

// arrivedAfterAll asks for the blob itself.
func (t *transfer) arrivedAfterAll(ctx context.Context) bool {
	size, err := t.r.statBlob(ctx, t.doing, t.d.Digest.String())
	return err == nil && (size == t.d.Size || size == -1)
}

// stuck reports whether err is one of those that come of a body that is too large: a
// connection that broke while it was being sent, or a 416 to a piece.
func (t *transfer) stuck(err error, start int64) bool {
	if answer, ok := errors.AsType[*Error](err); ok {
		return answer.Status == http.StatusRequestedRangeNotSatisfiable
	}
	return t.told > start
}

// noteBreak counts breaks that gained nothing, and sends smaller pieces after some.
func (t *transfer) noteBreak(nothingGained bool) {
	if !nothingGained {
		t.breaks = 0
		return
	}
	if t.breaks++; t.breaks >= mostBreaks {
		t.breaks = 0
		t.smallerAfterBreaks()
	}
}

// check judges what the registry said of how far it got. One that has more than it was
// ever sent has something else; and one that has nothing may have one byte (see
// received): a fresh start costs no more.
func (t *transfer) check(became sessionState, start int64) sessionState {
	if became != sessionKnown {
		return became
	}
	if t.session.offset > start {
		t.asked = 0
	}
	if t.session.offset == 0 || t.session.offset > min(t.handed, t.d.Size) {
		return sessionLost
	}
	return sessionKnown
}

// judge sorts an answer to an upload's request. The error that it returns is transient
// if the upload can go on or start anew.
func (t *transfer) judge(err error) (sessionState, error) {
	var answer *Error
	if !errors.As(err, &answer) || transport.TransientStatus(answer.Status) {
		return sessionKnown, err
	}
	again := &transport.RetryError{Err: err}
	switch {
	case answer.Status == http.StatusNotFound && !missing(answer), answer.Code == codeUploadUnknown:
		return sessionGone, again
	case answer.Status == http.StatusAccepted:
		// It took the bytes, as it would of a PATCH, and may or may not make the blob of them.
		if t.wrong++; t.wrong > mostTwice {
			return sessionKnown, err
		}
		t.refusedPut = t.refusedPut || t.byPut && !t.wholeOnly()
		return sessionGone, again
	case answer.Code == codeDigestInvalid, answer.Code == codeUploadInvalid && t.told >= t.d.Size:
		// What arrived is not what was sent, or an upload that was resumed has a seam, or
		// the registry says so of all that is sent in this way.
		if t.wrong++; t.wrong > mostTwice {
			return sessionKnown, t.r.failed(DigestMismatch, t.doing, err)
		}
		t.refusedPut = t.refusedPut || t.byPut && answer.Code == codeUploadInvalid && !t.wholeOnly()
		return sessionLost, again
	case answer.Status == http.StatusRequestedRangeNotSatisfiable, answer.Code == codeRangeInvalid,
		answer.Code == codeUploadInvalid, answer.Code == codeSizeInvalid:
		// It has another idea of how far it got: it may still have been reading from
		// the connection that broke. Asking tells; but not for ever.
		if t.asked++; t.asked > mostAsked {
			return sessionLost, again
		}
		return sessionKnown, again
	}
	return sessionKnown, err
}

// askAgain asks how far the upload got, patiently: the registry that broke off may
// take a moment. One that cannot say is not asked for ever.
func (t *transfer) askAgain(ctx context.Context) (sessionState, error) {
	failures := 0
	for {
		started, err := t.r.c.host.Wait(ctx)
		if err != nil {
			return sessionLost, err
		}
		found, err := t.r.ask(ctx, t.doing, t.session)
		switch {
		case err == nil && found:
			return sessionKnown, nil
		case err == nil:
			return sessionGone, nil
		}
		if answer, ok := errors.AsType[*Error](err); ok && answer.Status >= http.StatusInternalServerError {
			if failures++; failures == mostStatusErrors {
				return sessionLost, nil
			}
		}
		if err := t.op.Retry(ctx, t.r.path+": "+t.doing, started, err); err != nil {
			return sessionLost, err
		}
	}
}
