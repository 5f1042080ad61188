//go:build !linux

package websocket

import (
	"errors"
	"time"
)

// A poll waits for input of any number of sockets at once: not on this system.
type poll struct{}

func newPoll() (*poll, error) { return nil, errors.ErrUnsupported }

func (*poll) arm(*socket, int32, bool) error { return errors.ErrUnsupported }
func (*poll) wait(func(int32)) error         { return errors.ErrUnsupported }
func (*poll) look(func(int32)) error         { return errors.ErrUnsupported }
func (*poll) setDeadline(time.Time) error    { return nil }
func (*poll) close()                         {}
