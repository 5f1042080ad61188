package load

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
)

const (
	readBuffer       = 4 << 10
	writeBuffer      = 512
	handshakeTimeout = 30 * time.Second
	writeTimeout     = 30 * time.Second
	maxMessage       = 64 << 20 // bytes; the state of a room of about 500,000
	sourceAddresses  = 250
)

var (
	writePool  sync.Pool // of gorilla
	bufferPool = sync.Pool{New: func() any { return new([]byte) }}
)

// client is one connection. send and hangUp may be called concurrently.
type client struct {
	id    int // from 0 within its fleet
	fleet *fleet
	ws    *websocket.Conn

	writing sync.Mutex
	gone    atomic.Bool // its end is not a fault
	ended   chan struct{}
	joining atomic.Pointer[[]byte] // the last join sent

	// Owned by the reader, for the handler of the mode.
	refusals int     // of its joins
	present  bool    // conns: has seen itself
	seen     *seen   // presence, kill, fresh: users present
	again    *seen   // kill: users present again
	last     []int64 // of fanout and quiet rooms: the last publish of each publisher
}

// dial connects client id of a fleet from its source address.
func dial(ctx context.Context, f *fleet, id int, target *url.URL) (*client, error) {
	source := &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(2+id%sourceAddresses))}
	dialer := websocket.Dialer{
		NetDialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := (&net.Dialer{LocalAddr: source}).DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return &countingConn{Conn: conn, read: &f.bytesRead}, nil
		},
		HandshakeTimeout: handshakeTimeout,
		ReadBufferSize:   readBuffer,
		WriteBufferSize:  writeBuffer,
		WriteBufferPool:  &writePool,
	}
	ws, res, err := dialer.DialContext(ctx, target.String(), http.Header{})
	if err != nil {
		if res != nil {
			return nil, fmt.Errorf("connect to %s: the server answered %s", target.Host, res.Status)
		}
		return nil, fmt.Errorf("connect to %s: %w", target.Host, err)
	}
	ws.SetReadLimit(maxMessage)
	return &client{id: id, fleet: f, ws: ws, ended: make(chan struct{})}, nil
}

// countingConn counts the bytes read.
type countingConn struct {
	net.Conn
	read *atomic.Int64
}

func (c *countingConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.read.Add(int64(n))
	return n, err
}

func (c *client) send(text []byte) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	if err := c.ws.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return c.fault("write", err)
	}
	if err := c.ws.WriteMessage(websocket.TextMessage, text); err != nil {
		return c.fault("write", err)
	}
	return nil
}

// join sends a join. It is sent again later if the server is overloaded.
func (c *client) join(text []byte) error {
	c.joining.Store(&text)
	return c.send(text)
}

func (c *client) fault(what string, err error) error {
	return fmt.Errorf("client %d: %s: %w", c.id, what, err)
}

// hangUp closes the socket without a close frame, as a lost client does.
func (c *client) hangUp() {
	c.gone.Store(true)
	c.ws.Close()
}

// read handles frames until the connection ends.
func (c *client) read() {
	defer close(c.ended)
	for {
		err := c.readOne()
		if err == nil {
			continue
		}
		if !c.gone.Load() {
			c.fleet.fail(c.fault("read", err))
		}
		c.ws.Close()
		return
	}
}

func (c *client) readOne() error {
	_, r, err := c.ws.NextReader()
	if err != nil {
		return err
	}
	// Taken only now, so that idle clients hold none.
	buffer := bufferPool.Get().(*[]byte)
	defer bufferPool.Put(buffer)
	*buffer, err = readAll((*buffer)[:0], r)
	if err != nil {
		return err
	}
	f, err := parseFrame(*buffer)
	if err != nil {
		return fmt.Errorf("%w: %.80q", err, *buffer)
	}
	return c.fleet.receive(c, f)
}

// delivered returns the number of the publish that m delivers, 0 if it is no
// delivery, and the number of the previous delivery from the same publisher. It
// returns an error if the publishes of one publisher arrive out of order.
func (c *client) delivered(m frame, publishers int) (seq, before int64, err error) {
	if string(m.event) != publishEvent {
		return 0, 0, nil
	}
	if seq, err = publishSeq(m.payload); err != nil {
		return 0, 0, err
	}
	if c.last == nil {
		c.last = make([]int64, publishers)
	}
	last := &c.last[seq%int64(publishers)] // numbers begin at 1
	if before = *last; seq <= before {
		return 0, 0, fmt.Errorf("delivery %d came after %d", seq, before)
	}
	*last = seq
	return seq, before, nil
}

// readAll appends everything read from r to b.
func readAll(b []byte, r io.Reader) ([]byte, error) {
	for {
		if len(b) == cap(b) {
			b = append(b, make([]byte, max(512, len(b)))...)[:len(b)]
		}
		n, err := r.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if err == io.EOF {
			return b, nil
		}
		if err != nil {
			return b, err
		}
	}
}
