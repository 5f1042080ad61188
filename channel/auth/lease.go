package auth

import (
	"container/heap"
	"time"
	"weak"

	"github.com/rollcall-go/rollcall/channel"
)

// lease is how long a connection may live. It is an assign of its connection, and is in
// the heap of its [Authenticator]. It does not keep the connection in memory, because
// nothing reports that a connection has ended or never started.
type lease struct {
	// static after newLease
	auth    *Authenticator
	conn    weak.Pointer[channel.Conn]
	subject string
	id      string // "": none

	// guarded by auth.mu
	expires time.Time // zero: never
	ended   bool      // the connection was, or is about to be, closed
	index   int       // in auth.leases, -1 if it is not there
}

func newLease(a *Authenticator, c *channel.Conn, ad admission) *lease {
	return &lease{
		auth:    a,
		conn:    weak.Make(c),
		subject: ad.subject,
		id:      ad.id,
		expires: ad.claims.ExpiresAt,
		index:   -1,
	}
}

// leases is a heap whose first lease ends first.
type leases []*lease

// put adds a lease, or moves it after its end changed.
func (ls *leases) put(l *lease) {
	if l.index >= 0 {
		heap.Fix(ls, l.index)
		return
	}
	heap.Push(ls, l)
}

func (ls *leases) remove(l *lease) {
	if l.index >= 0 {
		heap.Remove(ls, l.index)
	}
}

// due removes the leases that end at now or before.
func (ls *leases) due(now time.Time) []*lease {
	var due []*lease
	for len(*ls) > 0 && !(*ls)[0].expires.After(now) {
		l := heap.Pop(ls).(*lease)
		l.ended = true
		due = append(due, l)
	}
	return due
}

// sweep removes the leases of connections that no longer exist.
func (ls *leases) sweep() {
	kept := (*ls)[:0]
	for _, l := range *ls {
		if l.conn.Value() == nil {
			l.index = -1
			continue
		}
		l.index = len(kept)
		kept = append(kept, l)
	}
	clear((*ls)[len(kept):])
	*ls = kept
	heap.Init(ls)
}

// heap.Interface

func (ls leases) Len() int           { return len(ls) }
func (ls leases) Less(i, j int) bool { return ls[i].expires.Before(ls[j].expires) }
func (ls leases) Swap(i, j int) {
	ls[i], ls[j] = ls[j], ls[i]
	ls[i].index, ls[j].index = i, j
}

func (ls *leases) Push(x any) {
	l := x.(*lease)
	l.index = len(*ls)
	*ls = append(*ls, l)
}

func (ls *leases) Pop() any {
	last := len(*ls) - 1
	l := (*ls)[last]
	(*ls)[last] = nil
	*ls = (*ls)[:last]
	l.index = -1
	return l
}
