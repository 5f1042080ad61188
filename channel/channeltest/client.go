package channeltest

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"testing"

	"github.com/rollcall-go/rollcall/channel"
	"github.com/rollcall-go/rollcall/channel/wire"
)

// Start starts an endpoint that is closed with the test.
func Start(t testing.TB, cfg channel.Config) *channel.Endpoint {
	t.Helper()
	e, err := channel.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), Timeout)
		defer cancel()
		if err := e.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return e
}

// A Client is one connection.
type Client struct {
	*inbox

	// static after Connect
	conn   *channel.Conn
	native *native

	// owned by the test
	lastRef int

	// guarded by the inbox's mu
	ends map[string]channel.Reason // by join_ref
	code int                       // of the close frame
}

// Connect runs the handler's Connect and fails the test if it refuses; see
// [TryConnect]. The connection ends with the test.
func Connect(t testing.TB, e *channel.Endpoint, h *channel.Handler, params url.Values) *Client {
	t.Helper()
	c, err := TryConnect(t, e, h, wire.ConnectInfo{Params: params})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TryConnect is Connect with all that a transport may know. The error is a
// *channel.ConnectError.
func TryConnect(t testing.TB, e *channel.Endpoint, h *channel.Handler, info wire.ConnectInfo) (*Client, error) {
	t.Helper()
	c := &Client{inbox: newInbox(t, e), native: newNative(), ends: map[string]channel.Reason{}}
	info.Vsn = "2.0.0"
	if info.Transport == "" {
		info.Transport = "channeltest"
	}
	observed, err := c.observe(h)
	if err != nil {
		return nil, err
	}
	conn, err := e.Connect(context.Background(), observed, info)
	if err != nil {
		return nil, err
	}
	c.conn = conn
	conn.Start(link{c})
	t.Cleanup(c.Close)
	return c, nil
}

// Conn is the connection as the application has it.
func (c *Client) Conn() *channel.Conn { return c.conn }

// Close ends the connection as a client that goes away does. It may be called
// more than once.
func (c *Client) Close() { c.conn.Closed(wire.ReasonClosed) }

// AwaitClose waits until the server closes the connection, and returns the
// close code.
func (c *Client) AwaitClose() int {
	c.t.Helper()
	var code int
	c.await(Timeout, "close", func() bool { code = c.code; return code != 0 })
	return code
}

// Join joins a topic and awaits the answer: the channel, or the error's
// response if the join was refused.
func (c *Client) Join(topic string, payload any) (joined *Channel, refusal *channel.Payload) {
	c.t.Helper()
	ref := c.nextRef()
	ch := &Channel{client: c, topic: topic, joinRef: ref, timeout: Timeout}
	c.send(ref, ref, topic, "phx_join", payload)
	m := c.take(Timeout, wanted{
		fmt.Sprintf("answer to the join of %q", topic),
		func(m message) bool { return m.isReply() && m.ref == ref },
		matcher(c.t, nil),
	})
	if m.status != "ok" {
		return nil, &m.payload
	}
	ch.response = m.payload
	return ch, nil
}

// MustJoin is Join that must be accepted.
func (c *Client) MustJoin(topic string, payload any) *Channel {
	c.t.Helper()
	ch, refusal := c.Join(topic, payload)
	if refusal != nil {
		c.t.Fatalf("channeltest: join of %q refused: %s", topic, refusal.Bytes())
	}
	return ch
}

func (c *Client) nextRef() string {
	c.lastRef++
	return strconv.Itoa(c.lastRef)
}

func (c *Client) send(joinRef, ref, topic, event string, payload any) {
	c.t.Helper()
	binary, data, err := encode(joinRef, ref, topic, event, payload)
	if err != nil {
		c.t.Fatalf("channeltest: push %q on %q: %v", event, topic, err)
	}
	if closing := c.conn.Receive(binary, data); closing != nil {
		link{c}.Close(closing.Code, closing.Reason)
		c.Close()
	}
}

// link is the transport's side of the connection.
type link struct{ c *Client }

func (l link) Send(frames ...*wire.Frame) {
	for _, f := range frames {
		m, err := l.c.native.decode(f)
		if err != nil {
			l.c.t.Errorf("channeltest: frame that cannot be read: %v: %q", err, f.Data)
			return
		}
		l.c.put(m)
	}
}

func (l link) Close(code int, _ string) {
	l.c.change(func() {
		if l.c.code == 0 {
			l.c.code = code
		}
	})
}
