package load

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
)

// A mischief is a kind of misbehaving client.
type mischief struct {
	name string
	// anywhere: it joins no topic.
	anywhere bool
	// crowd: each client has many concurrent connections from one address.
	crowd bool
	// do misbehaves until the connection ends or the mob is stopped.
	do func(m *mob, c *rogue) error
}

var mischiefs = []mischief{
	{name: "stops reading", do: (*mob).stopReading},
	{name: "reads 1 B/s", do: (*mob).readOneByte},
	{name: "floods broadcasts", do: (*mob).floodBroadcasts},
	{name: "floods heartbeats", anywhere: true, do: (*mob).floodHeartbeats},
	{name: "floods pings", anywhere: true, do: (*mob).floodPings},
	{name: "joins and leaves", do: (*mob).joinAndLeave},
	{name: "half a handshake", anywhere: true, crowd: true},
	{name: "crowds in", do: (*mob).crowdIn, anywhere: true, crowd: true},
}

const (
	// backoff is the delay before a closed client reconnects.
	backoff = 250 * time.Millisecond
	// floodRate is the frames per second of a flooding client, which writes some
	// every floodEvery.
	floodRate  = 30_000
	floodEvery = 10 * time.Millisecond
	// greedRate is the requests per second of a client that does not read replies.
	// Each reply has the metas of the whole mob.
	greedRate = 200
	greedMeta = 4 << 10 // bytes
	// crowded is the number of concurrent connections per address of a crowd. It
	// exceeds perAddress, the limit of servers started by --self.
	crowded    = 60
	perAddress = 50
)

// A mob is a number of misbehaving clients of one kind.
type mob struct {
	// Static.
	kind   mischief
	topic  string
	target *url.URL
	ctx    context.Context
	cancel context.CancelFunc
	all    sync.WaitGroup

	attempts atomic.Int64 // connections
	closed   atomic.Int64 // of them, closed by the server
	refused  atomic.Int64 // handshakes refused

	mu    sync.Mutex
	codes map[int]int // of close frames, by code
}

// A rogue is one connection of a mob.
type rogue struct {
	ws  *websocket.Conn
	raw net.Conn
	id  int
}

// startMob starts n clients of a kind. The caller must stop them.
func startMob(ctx context.Context, kind mischief, n int, topic string, target *url.URL) *mob {
	m := &mob{kind: kind, topic: topic, target: target, codes: map[int]int{}}
	m.ctx, m.cancel = context.WithCancel(ctx)
	for i := range n {
		m.all.Go(func() { m.run(i) })
	}
	return m
}

func (m *mob) stop() {
	m.cancel()
	m.all.Wait()
}

// run runs one client, or all clients of one address of a crowd. They reconnect
// whenever they are closed.
func (m *mob) run(id int) {
	n, do := 1, m.connect
	if m.kind.crowd {
		n = crowded
	}
	if m.kind.do == nil {
		do = m.halfHandshake
	}
	m.times(n, func() error { return do(id) })
}

// count counts a connection that the server ended or refused.
func (m *mob) count(err error) {
	var closed *websocket.CloseError
	if errors.Is(err, websocket.ErrBadHandshake) {
		m.refused.Add(1)
		return
	}
	m.closed.Add(1)
	if errors.As(err, &closed) {
		m.mu.Lock()
		m.codes[closed.Code]++
		m.mu.Unlock()
	}
}

func (m *mob) closedWith(code int) float64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return float64(m.codes[code])
}

func (m *mob) pause(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-m.ctx.Done():
	}
}

func sourceOf(id int) *net.TCPAddr {
	return &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(2+id%sourceAddresses))}
}

func (m *mob) connect(id int) error {
	m.attempts.Add(1)
	dialer := websocket.Dialer{
		NetDialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			return (&net.Dialer{LocalAddr: sourceOf(id)}).DialContext(ctx, network, address)
		},
		HandshakeTimeout: handshakeTimeout, ReadBufferSize: readBuffer, WriteBufferSize: writeBuffer,
	}
	ws, _, err := dialer.DialContext(m.ctx, m.target.String(), nil)
	if err != nil {
		return err
	}
	defer ws.Close()
	defer context.AfterFunc(m.ctx, func() { ws.Close() })()
	return m.kind.do(m, &rogue{ws: ws, raw: ws.NetConn(), id: id})
}

func (c *rogue) send(frame []byte) error { return c.ws.WriteMessage(websocket.TextMessage, frame) }

// readAll reads and drops frames until the connection ends.
func (c *rogue) readAll() error {
	for {
		if _, r, err := c.ws.NextReader(); err != nil {
			return err
		} else if _, err := io.Copy(io.Discard, r); err != nil {
			return err
		}
	}
}

// whileReading writes until the connection ends. It returns the error of the reader,
// which has the close code.
func (c *rogue) whileReading(write func() error) error {
	ended := make(chan error, 1)
	go func() { ended <- c.readAll() }()
	err := write()
	if err == nil {
		c.ws.Close()
	}
	return <-ended
}

// stopReading requests more and more data and reads none of it.
func (m *mob) stopReading(c *rogue) error {
	meta := fmt.Sprintf(`{"n":0,"p":"%s"}`, strings.Repeat("x", greedMeta))
	if tcp, ok := c.raw.(*net.TCPConn); ok {
		_ = tcp.SetReadBuffer(readBuffer) // otherwise the kernel buffers megabytes first
	}
	if err := c.send(fmt.Appendf(nil, `["1","j",%q,"phx_join",{"key":"rogue%d","meta":%s}]`, m.topic, c.id, meta)); err != nil {
		return err
	}
	list := fmt.Appendf(nil, `["1","q",%q,"list",{}]`, m.topic)
	return m.every(time.Second/greedRate, func() error { return c.send(list) })
}

// every calls do at an interval until it fails or the mob is stopped.
func (m *mob) every(d time.Duration, do func() error) error {
	tick := time.NewTicker(d)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if err := do(); err != nil {
				return err
			}
		case <-m.ctx.Done():
			return nil
		}
	}
}

// readOneByte does what stopReading does, but reads one byte per second.
func (m *mob) readOneByte(c *rogue) error {
	stop := make(chan struct{})
	var reading sync.WaitGroup
	defer reading.Wait()
	defer close(stop)
	reading.Go(func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				_ = c.raw.SetReadDeadline(time.Now().Add(time.Second))
				_, _ = c.raw.Read(make([]byte, 1))
			case <-stop:
				return
			}
		}
	})
	return m.stopReading(c)
}

// flood writes frame repeatedly, at floodRate, and reads everything.
func (m *mob) flood(c *rogue, first, frame []byte) error {
	chunk := bytes.Repeat(frame, int(floodRate*floodEvery/time.Second))
	return c.whileReading(func() error {
		if len(first) > 0 {
			if err := c.send(first); err != nil {
				return err
			}
		}
		return m.every(floodEvery, func() error {
			_, err := c.raw.Write(chunk)
			return err
		})
	})
}

// rawFrame returns a client frame of less than 126 bytes with a mask of zeros.
func rawFrame(op byte, text string) []byte {
	return append([]byte{0x80 | op, 0x80 | byte(len(text)), 0, 0, 0, 0}, text...)
}

func (m *mob) floodBroadcasts(c *rogue) error {
	return m.flood(c, joinFrame(m.topic, 1_000_000+c.id, 0), rawFrame(websocket.TextMessage, fmt.Sprintf(`["1","b",%q,"broadcast",{"event":"noise"}]`, m.topic)))
}

func (m *mob) floodHeartbeats(c *rogue) error {
	return m.flood(c, nil, rawFrame(websocket.TextMessage, heartbeatFrame))
}

func (m *mob) floodPings(c *rogue) error { return m.flood(c, nil, rawFrame(websocket.PingMessage, "")) }

// joinAndLeave joins and leaves as fast as the server replies.
func (m *mob) joinAndLeave(c *rogue) error {
	join, leave := joinFrame(m.topic, 1_000_000+c.id, 0), leaveFrame(m.topic)
	for m.ctx.Err() == nil {
		if err := c.send(join); err != nil {
			return err
		}
		if err := c.send(leave); err != nil {
			return err
		}
		for {
			_, data, err := c.ws.ReadMessage()
			if err != nil {
				return err
			}
			if f, err := parseFrame(data); err == nil && string(f.ref) == refLeave {
				break
			}
		}
	}
	return nil
}

// times runs do in n goroutines, each repeatedly with a delay of backoff, until the
// mob is stopped.
func (m *mob) times(n int, do func() error) {
	var all sync.WaitGroup
	defer all.Wait()
	for range n {
		all.Go(func() {
			for m.ctx.Err() == nil {
				if err := do(); err != nil && m.ctx.Err() == nil {
					m.count(err)
				}
				m.pause(backoff)
			}
		})
	}
}

// crowdIn stays connected and does nothing else.
func (m *mob) crowdIn(c *rogue) error { return c.readAll() }

// halfHandshake begins a request and continues it byte by byte.
func (m *mob) halfHandshake(id int) error {
	m.attempts.Add(1)
	raw, err := (&net.Dialer{LocalAddr: sourceOf(id)}).DialContext(m.ctx, "tcp", m.target.Host)
	if err != nil {
		return nil // counted as an attempt only
	}
	defer raw.Close()
	_, _ = fmt.Fprintf(raw, "GET %s HTTP/1.1\r\nHost: %s\r\nX-Header: ", m.target.RequestURI(), m.target.Host)
	return m.every(time.Second/4, func() error {
		_, err := raw.Write([]byte("x"))
		return err
	})
}
