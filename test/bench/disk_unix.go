//go:build unix

package main

import (
	"fmt"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// free returns the bytes that are free in a folder, 0 if there is no such folder.
func free(dir string) int64 {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0
	}
	return int64(st.Bavail) * int64(st.Bsize)
}

// held returns how many bytes a process holds on disk in files without a name.
func held(pid int) (n int64) {
	dir := fmt.Sprintf("/proc/%d/fd/", pid)
	all, err := os.ReadDir(dir)
	if err != nil {
		return 0
	}
	for _, f := range all {
		if to, err := os.Readlink(dir + f.Name()); err != nil || !strings.HasSuffix(to, "(deleted)") {
			continue
		}
		info, err := os.Stat(dir + f.Name())
		if err != nil {
			continue
		}
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			n += int64(st.Blocks) * 512
		}
	}
	return n
}
