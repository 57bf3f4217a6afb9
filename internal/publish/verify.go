package publish

import (
	"context"
	"fmt"

	"github.com/multi-registry-push/multi-registry-push/internal/report"
	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

// verify asks again for every tag that was written. A registry that answers late is
// asked a few times before it is judged.
func (r *run) verify(ctx context.Context, s *site, moves []*move) {
	var written []*move
	for _, m := range moves {
		if m.written {
			written = append(written, m)
		}
	}
	if len(written) == 0 {
		return
	}
	defer r.enter(ctx, s, report.Verify)()
	few(tagsAtOnce, written, func(m *move) {
		serves, err := m.digest.String(), error(nil)
		if m.renew != nil {
			err = r.listed(ctx, m)
		} else {
			serves, err = r.serves(ctx, m)
		}
		switch {
		case ctx.Err() != nil:
			return // it was written; whether it is served was not asked
		case err != nil:
			err = usererror.New(usererror.VerifyMismatch, s.Host, "asking for "+m.String()+" after it was written", usererror.Advice(err), err)
		case serves != m.digest.String():
			err = usererror.New(usererror.VerifyMismatch, s.Host, fmt.Sprintf("%s serves %s, not %s", m, orNothing(serves), m.digest), "", nil)
		default:
			return
		}
		if m.asked {
			r.tagDone(m.t, m.tag, report.Failed, m.before, serves, err.Error())
		}
		r.emit(report.RegistryFailed{At: r.at(), Registry: s.Host, Optional: m.t.Optional(), Err: err})
		m.t.failTag(err)
	})
}

// serves returns the digest that the tag serves, "" for none, after asking as often
// as it takes until it is ours or patience ends.
func (r *run) serves(ctx context.Context, m *move) (digest string, err error) {
	for try := 0; ; try++ {
		digest, err = m.serves(ctx)
		if err != nil || digest == m.digest.String() || try == len(r.VerifyPauses) || !pause(ctx, r.VerifyPauses[try]) {
			return digest, err
		}
	}
}

func orNothing(digest string) string {
	if digest == "" {
		return "nothing"
	}
	return digest
}
