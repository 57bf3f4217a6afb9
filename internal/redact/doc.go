// Package redact carries secrets so that they cannot be printed by accident, and
// knows every form in which one could show up in a text.
package redact
