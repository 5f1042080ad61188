//go:build !unix

package netpoll

import "net"

// newSocket reports false: this system's sockets wait.
func newSocket(net.Conn) (Conn, bool) { return nil, false }

// MaxFiles returns how many files this process may have open: unknown on this system.
func MaxFiles() (uint64, bool) { return 0, false }
