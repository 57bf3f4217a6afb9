// Package retry holds what everything that tries again shares: a clock, back-off with
// jitter, the reading of Retry-After, the rule that says when to stop, and how a time is written.
package retry
