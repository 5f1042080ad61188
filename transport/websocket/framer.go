package websocket

import (
	"bufio"
	"net"
	"net/http"
	"time"

	gorilla "github.com/gorilla/websocket"
)

// A framer is gorilla's part in a connection: it takes apart what arrives, and
// compresses what goes out. Between two messages it knows nothing of the
// connection, unless that compresses. So connections that can be parked share
// framers, a few for thousands: each input has one. The others have one of their
// own, which came of their handshake.
type framer struct {
	// Static.
	ws     *gorilla.Conn
	reader *bufio.Reader // what ws reads from
	line   *line         // what that reads from, of one that is shared

	conn *conn // the one that it serves now
}

// A line is the connection that gorilla has, with the wire of the one that it serves now.
type line struct{ *hijacked }

// newFramer makes a shared framer. gorilla makes its connections of handshakes
// only, so one takes place, without a client.
func newFramer() *framer {
	f := &framer{reader: bufio.NewReaderSize(nil, readBuffer), line: &line{&hijacked{Conn: nowhere{}, mode: wireDirect}}}
	upgrader := newUpgrader(false)
	ws, err := upgrader.Upgrade(f, &http.Request{Method: http.MethodGet, Header: http.Header{
		"Connection": {"upgrade"}, "Upgrade": {"websocket"},
		"Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"AAAAAAAAAAAAAAAAAAAAAA=="},
	}}, nil)
	if err != nil { // it has all that can be asked for
		panic("websocket: " + err.Error())
	}
	f.own(ws)
	return f
}

// Header, Write, WriteHeader and Hijack are what gorilla needs of that handshake.

func (f *framer) Header() http.Header         { return http.Header{} }
func (f *framer) Write(p []byte) (int, error) { return len(p), nil }
func (f *framer) WriteHeader(int)             {}

func (f *framer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return f.line, bufio.NewReadWriter(f.reader, bufio.NewWriterSize(nil, writeBuffer)), nil
}

// nowhere is a connection without a client.
type nowhere struct{ net.Conn }

func (nowhere) SetDeadline(time.Time) error { return nil }
func (nowhere) Write(p []byte) (int, error) { return len(p), nil }

// own has the framer use ws.
func (f *framer) own(ws *gorilla.Conn) {
	f.ws = ws
	ws.SetPingHandler(func(data string) error {
		f.conn.receiveControl()
		f.conn.out.sendPong(data)
		return nil
	})
	ws.SetPongHandler(func(string) error {
		f.conn.receiveControl()
		return nil
	})
	ws.SetCloseHandler(func(code int, _ string) error {
		f.conn.out.close(code, "") // the answer to a close is its echo
		return nil
	})
}

// serve has a shared framer read for c, at the beginning of a message.
func (f *framer) serve(c *conn) {
	f.conn, f.line.hijacked = c, &c.wire
	f.reader.Reset(f.line)
}

// rest ends serving a connection.
func (f *framer) rest() {
	f.conn, f.line.hijacked = nil, nil
	f.reader.Reset(nil)
}
