//go:build unix

package main

import "syscall"

// noCore keeps the kernel from writing this process's memory, in which credentials are,
// to a core file when it crashes.
func noCore() { _ = syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{}) }
