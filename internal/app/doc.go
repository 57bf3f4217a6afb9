// Package app is the program as GitHub starts it and as a command line starts it:
// inputs become a request, what happens becomes a log, annotations, outputs, a summary
// and an exit status.
package app
