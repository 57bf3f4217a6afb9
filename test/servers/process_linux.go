package servers

import (
	"net/netip"
	"os/exec"
	"syscall"
)

// endWithUs has the kernel kill the program when the test's process ends, however it ends.
func endWithUs(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}

// hold keeps the port of an IPv4 host at which nobody listens, until it is released: no other
// listener and no connection gets it meanwhile, and whoever connects is refused. It is best
// effort.
func hold(host string) (release func()) {
	address, err := netip.ParseAddrPort(host)
	if err != nil || !address.Addr().Is4() {
		return func() {}
	}
	socket, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return func() {}
	}
	_ = syscall.SetsockoptInt(socket, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1)
	_ = syscall.Bind(socket, &syscall.SockaddrInet4{Port: int(address.Port()), Addr: address.Addr().As4()})
	return func() { _ = syscall.Close(socket) }
}
