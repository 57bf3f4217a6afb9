//go:build !race

package e2e

const stride = 1
