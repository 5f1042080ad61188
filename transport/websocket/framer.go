package websocket

import (
	"bufio"
	"net"
	"net/http"
	"sync"
	"time"

	gorilla "github.com/gorilla/websocket"
)

// An input is what was read ahead. A connection has one from when bytes arrive until
// all that arrived are dealt with: idle connections have none.
type input struct {
	ahead []byte // what was not yet asked for; part of buf
	buf   [readAhead]byte
}

// Sizes in bytes. Larger messages are read past both.
const (
	readAhead  = 4 << 10
	readBuffer = 512 // gorilla takes a reader of ours from 257 on
)

var inputs = sync.Pool{New: func() any { return new(input) }}

func (in *input) release() {
	in.ahead = nil
	inputs.Put(in)
}

// attach readies gorilla to read what was read ahead, at the beginning of a message.
func (c *conn) attach() {
	if c.framer != nil {
		return
	}
	if !c.compress {
		c.framer, _ = framers.Get().(*framer)
	}
	if c.framer == nil {
		c.framer = newFramer(c.compress)
	}
	c.framer.serve(c)
}

// drained reports whether all that was read ahead is dealt with.
func (c *conn) drained() bool { return len(c.input.ahead) == 0 && c.framer.reader.Buffered() == 0 }

// detach gives back what reading took, at the end of a message.
func (c *conn) detach() {
	c.input.release()
	c.input = nil
	if !c.compress {
		c.framer.serve(nil)
		framers.Put(c.framer)
		c.framer = nil
	}
}

// A framer is gorilla's part in a connection: it takes apart what arrives. Between two
// messages it knows nothing of the connection, so connections share framers, a few for
// thousands. One that compresses has its own from its first message on: what is deflated
// may end before its message does, and gorilla then skips the rest with the next one.
type framer struct {
	ws     *gorilla.Conn // static
	reader *bufio.Reader // what ws reads from
	line   line          // what that reads from
}

var framers sync.Pool

// serve has the framer read for c, nil for none.
func (f *framer) serve(c *conn) {
	f.line.conn = c
	f.reader.Reset(&f.line)
}

// newFramer makes a framer. gorilla makes its connections of handshakes only, so one
// takes place, without a client.
func newFramer(compress bool) *framer {
	f := &framer{reader: bufio.NewReaderSize(nil, readBuffer)}
	header := http.Header{
		"Connection": {"upgrade"}, "Upgrade": {"websocket"},
		"Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"AAAAAAAAAAAAAAAAAAAAAA=="},
	}
	if compress {
		header.Set("Sec-Websocket-Extensions", "permessage-deflate")
	}
	upgrader := newUpgrader(compress)
	ws, err := upgrader.Upgrade(f, &http.Request{Method: http.MethodGet, Header: header}, nil)
	if err != nil { // it has all that can be asked for
		panic("websocket: " + err.Error())
	}
	f.ws = ws
	ws.SetPingHandler(func(data string) error {
		f.line.conn.receiveControl()
		f.line.conn.out.sendPong(data)
		return nil
	})
	ws.SetPongHandler(func(string) error {
		f.line.conn.receiveControl()
		return nil
	})
	ws.SetCloseHandler(func(code int, _ string) error {
		f.line.conn.out.close(code, "") // the answer to a close is its echo
		return nil
	})
	return f
}

// Header, Write, WriteHeader and Hijack are what gorilla needs of that handshake.

func (f *framer) Header() http.Header         { return http.Header{} }
func (f *framer) Write(p []byte) (int, error) { return len(p), nil }
func (f *framer) WriteHeader(int)             {}

func (f *framer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return &f.line, bufio.NewReadWriter(f.reader, bufio.NewWriterSize(nil, writeBuffer)), nil
}

// A line is the connection that gorilla has. It reads for the one that the framer serves.
type line struct {
	net.Conn // nil: gorilla calls no other methods
	conn     *conn
	reason   string // in the close frame that answers a violation
}

func (l *line) Read(p []byte) (int, error) { return l.conn.read(p) }

// Write takes the close frame that answers a violation. The outbox sends it.
func (l *line) Write(p []byte) (int, error) {
	const header, code = 2, 2
	if l.conn != nil && len(p) > header+code {
		l.reason = string(p[header+code:])
	}
	return len(p), nil
}

func (l *line) SetDeadline(time.Time) error      { return nil }
func (l *line) SetWriteDeadline(time.Time) error { return nil }
