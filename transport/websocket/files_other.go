//go:build !unix

package websocket

// openFileLimit is unknown on this system.
func openFileLimit() (uint64, bool) { return 0, false }
