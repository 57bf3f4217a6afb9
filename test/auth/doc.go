// Package auth tests logins against stand-ins of the providers, with a real registry
// behind each.
package auth
