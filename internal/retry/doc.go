// Package retry holds what everything that tries again shares: a clock, back-off with
// jitter, the reading of Retry-After, and the rule that says when to stop.
package retry
