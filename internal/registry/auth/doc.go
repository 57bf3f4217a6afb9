// Package auth gets a registry's permission: it reads the challenges of a 401 and buys
// the tokens that they ask for (RFC 9110, 11; distribution spec's token authentication).
package auth
