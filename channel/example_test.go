package channel_test

import (
	"context"
	"fmt"
	"net/url"

	"github.com/rollcall-go/rollcall/channel"
	"github.com/rollcall-go/rollcall/channel/wire"
	"github.com/rollcall-go/rollcall/transport/membus"
)

// counter counts what its client asks it to.
type counter struct{ n int }

func (c *counter) Join(_ context.Context, s *channel.Socket, params channel.Payload) (any, error) {
	var p struct{ From int }
	if err := params.Decode(&p); err != nil || p.From < 0 {
		return nil, channel.Refuse("from must be a natural number")
	}
	c.n = p.From
	return map[string]int{"n": c.n}, nil
}

func (c *counter) HandleIn(s *channel.Socket, event string, payload channel.Payload) channel.Result {
	if event != "add" {
		return channel.Error(map[string]string{"reason": "unknown event"})
	}
	c.n++
	return channel.OK(map[string]int{"n": c.n})
}

// printer is a transport that prints.
type printer struct{ replies chan string }

func (p printer) Send(frames ...*wire.Frame) {
	for _, f := range frames {
		p.replies <- string(f.Data)
	}
}
func (p printer) Close(code int, reason string) {}

func Example() {
	endpoint, err := channel.New(channel.Config{Bus: membus.New().Bus()})
	if err != nil {
		panic(err)
	}
	handler, err := channel.NewHandler(channel.Handler{
		Routes: []channel.Route{{Pattern: "counter:*", New: func() channel.Channel { return &counter{} }}},
	})
	if err != nil {
		panic(err)
	}

	// What a transport does:
	conn, err := endpoint.Connect(context.Background(), handler, wire.ConnectInfo{Params: url.Values{"vsn": {"2.0.0"}}})
	if err != nil {
		panic(err)
	}
	link := printer{make(chan string, 10)}
	conn.Start(link)
	for _, frame := range []string{
		`["1","1","counter:a","phx_join",{"from":41}]`,
		`["1","2","counter:a","add",{}]`,
		`["1","3","counter:a","phx_leave",{}]`,
	} {
		conn.Receive(false, []byte(frame))
		fmt.Println(<-link.replies)
	}
	fmt.Println(<-link.replies)
	conn.Closed(wire.ReasonClosed)
	if err := endpoint.Close(context.Background()); err != nil {
		panic(err)
	}
	// Output:
	// ["1","1","counter:a","phx_reply",{"status":"ok","response":{"n":41}}]
	// ["1","2","counter:a","phx_reply",{"status":"ok","response":{"n":42}}]
	// ["1","3","counter:a","phx_reply",{"status":"ok","response":{}}]
	// ["1","1","counter:a","phx_close",{}]
}
