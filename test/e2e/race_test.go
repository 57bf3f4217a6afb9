//go:build race

package e2e

// stride is how far sweeps go on at a time. The race detector makes a run several times as
// slow: there they take a sample, and `make test` runs them whole without it.
const stride = 6
