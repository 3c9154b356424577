package gateway

import (
	"net"
	"syscall"
	"unsafe"
)

// unsent is how many bytes the kernel holds that the peer has not acknowledged (SIOCOUTQ, tcp(7)).
func unsent(c *net.TCPConn) (n int, known bool) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, false
	}
	var v int32
	var errno syscall.Errno
	err = raw.Control(func(fd uintptr) {
		_, _, errno = syscall.Syscall(syscall.SYS_IOCTL, fd, syscall.TIOCOUTQ, uintptr(unsafe.Pointer(&v)))
	})
	return int(v), err == nil && errno == 0
}
