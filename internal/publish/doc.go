// Package publish copies images to many registries: plan, login, copy, tag, verify, for
// all of them at once.
//
// NewPlan is pure: it groups what was asked for by registry and repository. Run carries a
// plan out and returns a Result, which is everything that became of it: logs, outputs,
// summary and exit status are made from it alone. An Observer only animates what goes on
// meanwhile.
//
// What fails alone is one image in one repository.
package publish
