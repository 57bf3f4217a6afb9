package servers

import (
	"os/exec"
	"syscall"
)

// endWithUs has the kernel kill the program when the test's process ends, however it ends.
func endWithUs(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
