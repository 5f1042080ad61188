package intake

import (
	"net"
	"net/http"
	"sync"
)

// openConns counts connections as long as they are HTTP's: net/http takes any
// number, and each holds a goroutine and buffers for as long as a client takes to
// send a header. What is upgraded to WebSocket has limits of its own.
type openConns struct {
	// Static after bounds.
	most    int // zero: no bound
	census  census
	refused func(net.Conn, *Refusal) // may be nil

	mu sync.Mutex
	// Guarded by mu.
	conns map[net.Conn]*openConn
}

// An openConn is one of them.
type openConn struct {
	place *Place // nil: its address is not counted
	turn  *Turn  // nil: it did not come by a Listener of ours
}

func (o *openConns) bounds(most, perAddress int, refused func(net.Conn, *Refusal)) {
	o.most, o.census.most, o.refused = most, perAddress, refused
	o.conns = map[net.Conn]*openConn{}
}

// changed is an http.Server's ConnState. net/http reports each connection once as
// new, and once as closed or hijacked.
func (o *openConns) changed(c net.Conn, state http.ConnState) {
	if secured, ok := c.(interface{ NetConn() net.Conn }); ok {
		c = secured.NetConn()
	}
	switch state {
	case http.StateNew:
		o.enter(c)
	case http.StateIdle:
		o.answered(c)
	case http.StateClosed, http.StateHijacked:
		o.leave(c)
	}
}

// enter counts c, unless it is counted already. It is closed, and false returned,
// when it is one too many.
func (o *openConns) enter(c net.Conn) bool {
	refusal := o.add(c)
	if refusal == nil {
		return true
	}
	c.Close()
	if o.refused != nil {
		o.refused(c, refusal)
	}
	return false
}

func (o *openConns) add(c net.Conn) *Refusal {
	entry := new(openConn)
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.conns[c] != nil {
		return nil
	}
	if o.most > 0 && len(o.conns) >= o.most {
		return &Refusal{Err: ErrHTTP, Limit: o.most}
	}
	place, err := o.census.enter(addressOf(c))
	if err != nil {
		return err.(*Refusal)
	}
	entry.place = place
	o.conns[c] = entry
	return nil
}

// begins notes the turn of c, which ends with its first answer, or with it.
func (o *openConns) begins(c net.Conn, turn *Turn) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.conns[c].turn = turn
}

func (o *openConns) answered(c net.Conn) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if entry := o.conns[c]; entry != nil {
		entry.end()
	}
}

// leave is for who has been counted, or closed by enter.
func (o *openConns) leave(c net.Conn) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if entry := o.conns[c]; entry != nil {
		delete(o.conns, c)
		entry.place.Leave()
		entry.end()
	}
}

func (e *openConn) end() {
	if e.turn != nil {
		e.turn.End()
		e.turn = nil
	}
}
