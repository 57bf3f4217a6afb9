// Package config turns inputs into settings: it reads flags, variables and action.yml,
// says what is wrong with them by input and line, and suggests what may have been meant.
// It sends nothing, and opens only the files that flags name as @FILE.
package config
