// Package suggest finds the name that was most likely meant by a misspelt one.
package suggest
