// Package report shows what a run does and what became of it.
//
// What became of it is a [publish.Result], and everything that is said at the end is a
// function of it: [Outputs], [JSON], [Table], [Annotations], [Markdown], [Headline],
// [ExitStatus]. While the run goes on, [Log] writes lines and [Live] draws bars; they are
// told by calls of [publish.Observer] and hold no truth.
//
// Free text of a result holds no secret, but comes from outside. Here it is escaped for
// Markdown; lines of the log are plain text that their writer escapes.
package report
