package channel

import (
	"context"
	"net/url"
	"sync"
	"testing"

	"github.com/rollcall-go/rollcall/channel/wire"
)

type nullLink struct{}

func (nullLink) Send(...*wire.Frame) {}
func (nullLink) Close(int, string)   {}

// BenchmarkBroadcast is one broadcast to a room of 1,000.
func BenchmarkBroadcast(b *testing.B) {
	e, err := New(Config{})
	if err != nil {
		b.Fatal(err)
	}
	var joined sync.WaitGroup
	joined.Add(1000)
	h := handlerOf(script{
		join: func(s *Socket, _ Payload) (any, error) { s.Send("joined"); return nil, nil },
		info: func(*Socket, any) Result { joined.Done(); return NoReply() },
	})
	for range 1000 {
		c, err := e.Connect(context.Background(), h, wire.ConnectInfo{Params: url.Values{"vsn": {"2.0.0"}}})
		if err != nil {
			b.Fatal(err)
		}
		c.Start(nullLink{})
		c.Receive(false, []byte(`["1","1","t","phx_join",{}]`))
	}
	joined.Wait()
	payload := map[string]any{"body": "hello"}
	b.ReportAllocs()
	for b.Loop() {
		if err := e.Broadcast("t", "msg", payload); err != nil {
			b.Fatal(err)
		}
	}
	if err := e.Close(context.Background()); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkReceive is one message with its reply.
func BenchmarkReceive(b *testing.B) {
	e, err := New(Config{MessageRate: 1e9, MessageBurst: 1e9})
	if err != nil {
		b.Fatal(err)
	}
	h := handlerOf(script{in: func(s *Socket, event string, payload Payload) Result { return OK(payload) }})
	c, err := e.Connect(context.Background(), h, wire.ConnectInfo{Params: url.Values{"vsn": {"2.0.0"}}})
	if err != nil {
		b.Fatal(err)
	}
	replies := make(chan struct{}, 16)
	c.Start(signalLink(replies))
	c.Receive(false, []byte(`["1","1","t","phx_join",{}]`))
	<-replies
	frame := []byte(`["1","2","t","ping",{"body":"hello"}]`)
	b.ReportAllocs()
	for b.Loop() {
		c.Receive(false, frame)
		<-replies
	}
	c.Closed(wire.ReasonClosed)
	if err := e.Close(context.Background()); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkJoin is a join and a leave where nothing else happens.
func BenchmarkJoin(b *testing.B) {
	e, err := New(Config{MessageRate: 1e9, MessageBurst: 1e9, JoinRate: 1e9, JoinBurst: 1e9})
	if err != nil {
		b.Fatal(err)
	}
	c, err := e.Connect(context.Background(), handlerOf(script{}), wire.ConnectInfo{Params: url.Values{"vsn": {"2.0.0"}}})
	if err != nil {
		b.Fatal(err)
	}
	replies := make(chan struct{}, 16)
	c.Start(signalLink(replies))
	join, leave := []byte(`["1","1","t","phx_join",{}]`), []byte(`["1","2","t","phx_leave",{}]`)
	b.ReportAllocs()
	for b.Loop() {
		c.Receive(false, join)
		<-replies
		c.Receive(false, leave)
		<-replies // the answer, and
		<-replies // phx_close
	}
	c.Closed(wire.ReasonClosed)
	if err := e.Close(context.Background()); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkJoins is joins and leaves of many connections on all cores.
func BenchmarkJoins(b *testing.B) {
	e, err := New(Config{JoinRate: 1e9, JoinBurst: 1e9})
	if err != nil {
		b.Fatal(err)
	}
	h := handlerOf(script{})
	join, leave := []byte(`["1","1","t","phx_join",{}]`), []byte(`["1","2","t","phx_leave",{}]`)
	b.ReportAllocs()
	b.SetParallelism(16)
	b.RunParallel(func(pb *testing.PB) {
		c, err := e.Connect(context.Background(), h, wire.ConnectInfo{Params: url.Values{"vsn": {"2.0.0"}}})
		if err != nil {
			b.Error(err)
			return
		}
		defer c.Closed(wire.ReasonClosed)
		replies := make(chan struct{}, 16)
		c.Start(signalLink(replies))
		for pb.Next() {
			c.Receive(false, join)
			<-replies
			c.Receive(false, leave)
			<-replies
			<-replies
		}
	})
	if err := e.Close(context.Background()); err != nil {
		b.Fatal(err)
	}
}

type signalLink chan struct{}

func (l signalLink) Send(...*wire.Frame) { l <- struct{}{} }
func (l signalLink) Close(int, string)   {}
