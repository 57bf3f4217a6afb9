// Package usererror holds every error that a person can meet, each with a code,
// what it means and what to do about it. docs/errors.md is made from it.
package usererror
