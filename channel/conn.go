package channel

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"
	"unicode/utf8"

	"golang.org/x/time/rate"

	"github.com/rollcall-go/rollcall/channel/internal/fastlane"
	"github.com/rollcall-go/rollcall/channel/internal/pubsub"
	"github.com/rollcall-go/rollcall/channel/wire"
)

// A Conn is one client's connection. A transport drives it: [Endpoint.Connect]
// before the client is accepted, Start once it is, Receive for each frame, and
// Closed when it is over, whichever side ended it. The application sees it in
// [Handler].Connect and as [Socket.Conn].
type Conn struct {
	// static after Connect
	endpoint *Endpoint
	protocol *fastlane.Served

	// static after Start
	link  wire.Link
	codec wire.Codec

	// static after Connect
	handler   *Handler
	transport string
	vsn       string
	remote    net.Addr

	// owned by the transport's reader: the caller of Receive and ReceiveControl
	messages *rate.Limiter
	flooded  bool // the client was told that it sends too much

	assignsMu sync.RWMutex
	assigns   []assign

	// mu orders what is decided, and what is sent because of it: it is held
	// while frames go to the link. Locks taken under it are those of pub/sub's
	// shards, of rooms, of admission and of mailboxes.
	mu      sync.Mutex
	id      string
	idPlace *pubsub.Subscription
	session wire.Session
	members []*member     // in the order of their ids
	done    chan struct{} // of ended; made when somebody waits
	started bool
	closed  bool
	extra   *connExtra // nil in most; static once started
}

// connExtra is what few connections have.
type connExtra struct {
	values context.Context // of Socket.Context
	ending *wire.Close     // what Close asked for before Start
}

// addExtra is called with mu held.
func (c *Conn) addExtra() *connExtra {
	if c.extra == nil {
		c.extra = &connExtra{}
	}
	return c.extra
}

// Transport is the name of the connection's transport, as [wire.ConnectInfo] has it.
func (c *Conn) Transport() string { return c.transport }

// Vsn is the version of the protocol that the client asked for.
func (c *Conn) Vsn() string { return c.vsn }

// RemoteAddr is the client's address, as [wire.ConnectInfo] has it; nil where the
// transport does not know it.
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

// Send sends frames of the connection's protocol; see [wire.Peer]. Channels use
// [Socket.Push].
func (c *Conn) Send(frames ...*wire.Frame) { c.link.Send(frames...) }

// Endpoint is the endpoint of the connection.
func (c *Conn) Endpoint() *Endpoint { return c.endpoint }

// Assign sets a value that all channels of the connection see. It may be called
// at any time, by any goroutine.
func (c *Conn) Assign(key string, value any) {
	c.assignsMu.Lock()
	defer c.assignsMu.Unlock()
	for i := range c.assigns {
		if c.assigns[i].key == key {
			c.assigns[i].value = value
			return
		}
	}
	c.assigns = append(c.assigns, assign{key, value})
}

// assign is one of a connection's; few are assigned.
type assign struct {
	key   string
	value any
}

// Value is what was assigned, nil if nothing was.
func (c *Conn) Value(key string) any {
	c.assignsMu.RLock()
	defer c.assignsMu.RUnlock()
	for _, a := range c.assigns {
		if a.key == key {
			return a.value
		}
	}
	return nil
}

// SetID names the connection: a broadcast of "disconnect" on the topic id
// closes all connections with that id on all replicas (1001). Call it in
// Connect; it has no effect once the connection has started. An id is a topic,
// and has its limits.
func (c *Conn) SetID(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.started {
		c.id = id
	}
}

// ID is what SetID set; empty is anonymous.
func (c *Conn) ID() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.id
}

// Start begins the connection on link. The transport calls it once, before the
// first Receive. On an endpoint that is draining it closes the link at once.
func (c *Conn) Start(link wire.Link) {
	c.mu.Lock()
	c.link = link
	c.mu.Unlock()
	codec := c.protocol.Open(c) // may call c's methods
	if !c.start(codec) {
		c.shutdown(wire.CloseRestart, "restart", wire.ReasonDraining)
	}
}

func (c *Conn) start(codec wire.Codec) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	link := c.link
	c.codec, c.started = codec, true
	if c.closed {
		if c.extra != nil && c.extra.ending != nil {
			link.Close(c.extra.ending.Code, c.extra.ending.Reason)
		}
		return true
	}
	if !c.endpoint.register(c) {
		return false
	}
	if c.id == "" {
		return true
	}
	var err error
	if c.idPlace, err = c.endpoint.pubsub.Subscribe(c.id, disconnector{c}); err != nil {
		// It lives, but cannot be disconnected by its id.
		c.endpoint.logger.Error("channel: subscribe to the connection's id", "id", c.id, "error", err)
	}
	return true
}

// base is the context of all that happens on the connection. It does not end.
func (c *Conn) base() context.Context {
	if c.extra == nil || c.extra.values == nil {
		return context.Background()
	}
	return c.extra.values
}

// eventDisconnect on the topic of a connection's id closes it.
const eventDisconnect = "disconnect"

// disconnector is what a connection with an id subscribes (B112).
type disconnector struct{ conn *Conn }

func (d disconnector) Deliver(b *fastlane.Broadcast) {
	if b.Event == eventDisconnect {
		d.conn.shutdown(wire.CloseGoingAway, "disconnected", wire.ReasonDisconnected)
	}
}

// Receive handles one frame of the client. The transport's reader calls it, one
// call at a time; data is not kept. A result that is not nil asks the transport to close
// the link with it. What is received after the connection ended is ignored.
func (c *Conn) Receive(binary bool, data []byte) *wire.Close {
	now := time.Now()
	if flood := c.count(now, len(data)); flood != nil || c.flooded {
		return flood
	}
	if !binary && !utf8.Valid(data) {
		c.Reject(wire.Rejection{Cause: wire.CauseText, Code: wire.CloseInvalidText})
		return &wire.Close{Code: wire.CloseInvalidText, Reason: "text is not UTF-8"}
	}
	s := scratches.Get().(*scratch)
	defer s.release()
	messages, err := c.codec.Decode(s.messages[:0], binary, data)
	for i := range messages {
		if messages[i].JoinRef.Len() > wire.MaxRef || messages[i].Ref.Len() > wire.MaxRef {
			err = fmt.Errorf("a ref of more than %d bytes", wire.MaxRef)
		}
	}
	if err != nil {
		c.Reject(wire.Rejection{Cause: wire.CauseMalformed, Code: wire.CloseInternal, Err: err})
		return &wire.Close{Code: wire.CloseInternal, Reason: "malformed frame"}
	}
	for i, m := range messages {
		if i > 0 { // the first was counted as the frame
			if flood := c.count(now, 0); flood != nil {
				return flood
			}
		}
		for _, a := range c.receive(now, m) {
			if a.Kind == wire.ActReject {
				c.Reject(*a.Rejection)
			}
		}
	}
	return nil
}

// ReceiveControl is Receive for what costs work but is no message, such as a
// ping: it is counted, and nothing else. A transport calls it in the place of
// Receive.
func (c *Conn) ReceiveControl() *wire.Close { return c.count(time.Now(), 0) }

// messageUnit is how many bytes of a message count as a message of their own.
const messageUnit = 4 << 10

// count counts a message of so many bytes, before anything is done about it. The
// first that is too much closes the connection; what comes after it is nothing.
func (c *Conn) count(now time.Time, bytes int) *wire.Close {
	e := c.endpoint
	if c.flooded || c.messages.AllowN(now, min(1+bytes/messageUnit, e.config.MessageBurst)) {
		return nil
	}
	c.flooded = true
	e.counters.floods.Add(1)
	c.Reject(wire.Rejection{Cause: wire.CauseFlood, Limit: e.config.MessageRate, Code: wire.CloseTryLater})
	return &wire.Close{Code: wire.CloseTryLater, Reason: "too many messages"}
}

// receive carries out what the session decides about a message, and returns it.
func (c *Conn) receive(now time.Time, m wire.Message) []wire.Action {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.started || c.closed {
		return nil
	}
	acts := c.session.Receive(now, m)
	c.perform(acts)
	return acts
}

// Close ends this connection, and its channels with ReasonDisconnected: with a
// close frame of that code where the transport has such frames, else as the
// transport ends one. What was sent before goes out first. It may be called at
// any time, in [Handler].Connect and before Start too: the client is then
// accepted and closed. Only the first call counts, and it returns at once.
//
// The code is one of RFC 6455's from 1001 on that may be sent, or 4000 to 4999,
// which are the application's; anything else becomes CloseInternal. phoenix.js
// comes back after any code but 1000. The client sees the first 123 bytes of the
// reason.
func (c *Conn) Close(code int, reason string) {
	if code < wire.CloseGoingAway || code > wire.CloseTryLater && code < 4000 || code > 4999 ||
		code >= 1004 && code <= 1006 { // those stand for what no frame says
		code = wire.CloseInternal
	}
	c.shutdown(code, reason, wire.ReasonDisconnected)
}

// Closed tells that the transport's connection is over. Its channels end, each
// after the messages that it already has. Closed returns at once, and may be
// called more than once.
func (c *Conn) Closed(reason Reason) { c.shutdown(0, "", reason) }

// shutdown ends the connection: with a close frame, unless code is 0.
func (c *Conn) shutdown(code int, text string, reason Reason) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	c.closed = true
	c.session.Close()
	switch {
	case code == 0:
	case c.link == nil:
		c.addExtra().ending = &wire.Close{Code: code, Reason: text}
	default:
		c.link.Close(code, text)
	}
	if c.idPlace != nil {
		c.endpoint.pubsub.Unsubscribe(c.idPlace)
	}
	c.endpoint.unregister(c)
	for _, m := range c.members {
		m.box.Force(mailStop{reason})
		m.withdraw()
	}
	c.tellEnded()
}

// ended is closed when the connection and all its channels have ended.
func (c *Conn) ended() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.done == nil {
		c.done = make(chan struct{})
		c.tellEnded()
	}
	return c.done
}

// tellEnded is called when that may have come. c.mu is held.
func (c *Conn) tellEnded() {
	if c.done != nil && c.closed && len(c.members) == 0 {
		close(c.done)
	}
}

// member is the channel id, nil if there is none any more. c.mu is held.
func (c *Conn) member(id uint64) *member {
	for _, m := range c.members {
		if m.id == id {
			return m
		}
	}
	return nil
}

// perform carries out what the session decided. c.mu is held.
func (c *Conn) perform(acts []wire.Action) {
	for _, a := range acts {
		switch a.Kind {
		case wire.ActSend:
			c.send(a.Message)
		case wire.ActJoin:
			m := newMember(c, a)
			c.members = append(c.members, m)
			m.begin(c.member(a.After))
		case wire.ActDeliver:
			c.member(a.ID).give(mailIn{a.Message}, a.Message.Size())
		case wire.ActLeave:
			m := c.member(a.ID)
			m.give(mailLeave{a.Message}, a.Message.Size())
			m.withdraw()
		case wire.ActStop:
			m := c.member(a.ID)
			m.box.Force(mailStop{a.Reason})
			m.withdraw()
		case wire.ActReject: // told without the lock; see Receive
		}
	}
}

// send sends a message of the session.
func (c *Conn) send(m wire.Message) {
	if err := c.encode(m); err != nil {
		c.endpoint.logger.Error("channel: message not sent", "topic", m.Topic, "event", m.Event, "error", err)
	}
}

// gone ends a channel's part in the connection, and lets its successor begin.
func (c *Conn) gone(m *member) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.session.Gone(m.id)
	c.members = slices.DeleteFunc(c.members, func(other *member) bool { return other == m })
	if m.successor != nil {
		m.successor.release()
	}
	c.tellEnded()
}

func (c *Conn) isClosed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

// Reject reports, to the log and to telemetry, why a transport ends the connection, or
// has not taken what its client sent. It ends nothing by itself, and must not be called
// by a method of [wire.Link].
func (c *Conn) Reject(r wire.Rejection) {
	if r.Transport == "" {
		r.Transport = c.transport
	}
	if r.Remote == "" {
		r.Remote = addrString(c.remote)
	}
	c.endpoint.telemetry.reject(RejectEvent{c, r})
}

// scratch is what one call of a codec appends to, so that it allocates nothing else.
type scratch struct {
	messages [1]wire.Message
	frames   [1]*wire.Frame
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

func (s *scratch) release() {
	*s = scratch{}
	scratches.Put(s)
}

// encode sends a message, unless it cannot be encoded.
func (c *Conn) encode(m wire.Message) error {
	s := scratches.Get().(*scratch)
	defer s.release()
	frames, err := c.codec.Encode(s.frames[:0], m)
	if err == nil {
		c.link.Send(frames...)
	}
	return err
}

// encodeShared encodes a message whose payload other clients are sent, too.
func (c *Conn) encodeShared(m wire.Message) ([]*wire.Frame, error) {
	if splicer, ok := c.codec.(wire.Splicer); ok && len(m.Payload.Bytes()) >= wire.SpliceFrom {
		if link, ok := c.link.(wire.Gatherer); ok && link.Gathers() {
			return []*wire.Frame{splicer.Splice(m)}, nil
		}
	}
	return c.codec.Encode(nil, m)
}
