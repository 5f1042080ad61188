//go:build unix && (!linux || 386 || s390x || race)

package netpoll

import "syscall"

// sendNow writes to a socket what fits into its buffer.
func sendNow(fd int, p []byte) (int, error) { return syscall.Write(fd, p) }
