//go:build !linux && !darwin && !freebsd

package source

import "os"

func diskSpace(*os.File) (free, total int64, ok bool) { return 0, 0, false }
