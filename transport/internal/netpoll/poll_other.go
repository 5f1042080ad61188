//go:build !linux

package netpoll

import (
	"errors"
	"syscall"
)

// A poll waits for input of any number of sockets at once: not on this system.
type poll struct{}

func newPoll() (*poll, error)                        { return nil, errors.ErrUnsupported }
func (*poll) arm(syscall.RawConn, int32, bool) error { return errors.ErrUnsupported }
func (*poll) wait(func(int32)) error                 { return errors.ErrUnsupported }
func (*poll) close()                                 {}

// canLook reports whether look can be called.
const canLook = false

const lookRead, lookWrite = 0, 0

func look(syscall.RawConn, int16) bool { return false }
