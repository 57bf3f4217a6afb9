// Package config turns inputs into settings: it reads what was written, says what is wrong
// with it by input and line, and suggests what may have been meant. It sends nothing and
// opens nothing.
package config
