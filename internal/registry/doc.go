// Package registry talks to one registry host: transport with retry, limits,
// pauses, counters and tokens; reading, uploading with resume, and tagging.
package registry
