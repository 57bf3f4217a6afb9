// Package clocktest has the clock that tests of all packages hold.
package clocktest
