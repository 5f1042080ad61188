package token

import "github.com/rollcall-go/rollcall/channel"

// disconnect closes a connection whose token has ended: with 1001, on which
// clients come back, with the token that their parameters have by then.
//
// Package channel closes by id, so the other connections with this id on this
// replica are closed too. They come back at once, since their tokens are good.
func disconnect(c *channel.Conn) {
	// It cannot fail: the id was good enough to connect with, and nothing leaves
	// the replica.
	_ = c.Endpoint().LocalBroadcast(c.ID(), "disconnect", nil)
}
