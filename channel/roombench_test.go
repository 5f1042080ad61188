package channel

import (
	"context"
	"fmt"
	"net/url"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/rollcall-go/rollcall/channel/wire"
	"github.com/rollcall-go/rollcall/presence"
)

// tallyLink counts what it is sent.
type tallyLink struct{ sent atomic.Int64 }

func (l *tallyLink) Send(...*wire.Frame) { l.sent.Add(1) }
func (l *tallyLink) Close(int, string)   {}

func (l *tallyLink) await(n int64) {
	for l.sent.Load() < n {
		runtime.Gosched()
	}
}

// benchRoom is a room of clients that were given the state, with next to no window.
func benchRoom(b *testing.B, clients int) (*fakeSource, *tallyLink, *Conn) {
	e, err := New(Config{MessageRate: 1e9, MessageBurst: 1e9, JoinRate: 1e9, JoinBurst: 1e9})
	if err != nil {
		b.Fatal(err)
	}
	source := &fakeSource{}
	e.rooms = newRooms(e, source)
	h := handlerOf(script{})
	h.Routes[0].PushState, h.Routes[0].DiffWindow = true, 1
	link := &tallyLink{}
	var conns []*Conn
	for i := range clients {
		c, err := e.Connect(context.Background(), h, wire.ConnectInfo{Params: url.Values{"vsn": {"2.0.0"}}})
		if err != nil {
			b.Fatal(err)
		}
		conns = append(conns, c)
		c.Start(link)
		c.Receive(false, []byte(`["1","1","t","phx_join",{}]`))
		for e.Stats().Busy > 0 {
			runtime.Gosched()
		}
		if i < 2 { // a state is kept for the second
			source.handle(presence.Event{State: &presence.List{Topic: "t"}, Complete: true})
		}
		link.await(int64(2*i + 2))
	}
	b.Cleanup(func() {
		for _, c := range conns {
			c.Closed(wire.ReasonClosed)
		}
		if err := e.Close(context.Background()); err != nil {
			b.Fatal(err)
		}
	})
	return source, link, conns[0]
}

// BenchmarkPresenceDiff is one diff to a room. Its allocations do not depend on the size
// of the room.
func BenchmarkPresenceDiff(b *testing.B) {
	for _, size := range []int{7, 1000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			source, link, _ := benchRoom(b, size)
			come, leave := presence.Event{Diff: presence.Diff{Joins: entry1("k", "k")}, Complete: true}, presence.Event{Diff: presence.Diff{Leaves: entry1("k", "k")}, Complete: true}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				before := link.sent.Load()
				if i%2 == 0 {
					source.handle(come)
				} else {
					source.handle(leave)
				}
				link.await(before + int64(size))
			}
		})
	}
}

// BenchmarkPresenceJoin is a join that is pushed a known state, and its leave.
func BenchmarkPresenceJoin(b *testing.B) {
	_, link, c := benchRoom(b, 7)
	b.ReportAllocs()
	for b.Loop() {
		before := link.sent.Load()
		c.Receive(false, []byte(`["1","2","t","phx_leave",{}]`))
		link.await(before + 2)
		c.Receive(false, []byte(`["1","1","t","phx_join",{}]`))
		link.await(before + 4)
	}
}
