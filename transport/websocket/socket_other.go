//go:build !unix

package websocket

import "errors"

// tryRead is not called.
func (*input) tryRead(uintptr) bool { return true }

// A socket reads and writes without waiting: not on this system.
type socket struct{}

func (*socket) open(*hijacked) {}
func (*socket) ready() bool    { return false }

func (*socket) await() error                      { return errors.ErrUnsupported }
func (*socket) look() error                       { return errors.ErrUnsupported }
func (*socket) tryWrite(*batch, int) (int, error) { return 0, errors.ErrUnsupported }
func (*socket) waitWrite(*batch) (int, error)     { return 0, errors.ErrUnsupported }
