package serve

import (
	"net"
	"net/http"
	"sync/atomic"
)

// openConns counts connections as long as they are HTTP's: net/http takes any
// number, and each holds a goroutine and buffers for as long as a client takes to
// send a header.
type openConns struct{ n atomic.Int64 }

// limit is an http.Server's ConnState that closes what comes above most. What is
// upgraded to WebSocket has a limit of its own.
func (o *openConns) limit(most int64) func(net.Conn, http.ConnState) {
	return func(c net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			if o.n.Add(1) > most {
				c.Close() // its StateClosed follows
			}
		case http.StateClosed, http.StateHijacked:
			o.n.Add(-1)
		}
	}
}
