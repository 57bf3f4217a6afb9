package main

import (
	"os"

	"golang.org/x/term"
)

// columns returns the width of the terminal that f is, 0 if it is none or has no size.
func columns(f *os.File) int {
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0
	}
	return width
}
