//go:build linux && !386 && !s390x && !race

package netpoll

import (
	"syscall"
	"unsafe"
)

// sendNow writes to a socket what fits into its buffer. It takes the short way
// into the kernel, in two respects, since this call is most of what a delivery
// costs:
//
//   - sendto: write first finds out what kind of file this is.
//   - RawSyscall6: Syscall6 tells Go's scheduler that this thread may wait, and
//     the scheduler then looks every 20 us whether it does, and hands its
//     goroutines to another thread. This call never waits.
//
// The race detector takes what syscall writes as sent to a reader in the same
// process, a test's client for instance; where it is on, send_unix.go is used.
func sendNow(fd int, p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	n, _, errno := syscall.RawSyscall6(syscall.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)),
		syscall.MSG_DONTWAIT|syscall.MSG_NOSIGNAL, 0, 0)
	if errno != 0 {
		return -1, errno
	}
	return int(n), nil
}
