package load

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"

	"github.com/gorilla/websocket"
)

// The ways in which a floor server writes a broadcast.
const (
	// floorDirect writes to each subscriber from the goroutine that read the publish.
	floorDirect = "direct"
	// floorBatched has a writing goroutine per connection, which writes all pending
	// frames at once.
	floorBatched = "batched"
)

// floor is a minimal server for the clients of fanout and conns, made of net/http
// and gorilla/websocket only. Its cost is that of the library and the kernel. It
// has small read buffers and pooled write buffers, broadcasts prepared frames, and
// reads in a goroutine of its own so that net/http's memory is released. It has no
// limits, no deadlines and no presence (a client that joins sees only itself), and
// only acknowledges other messages.
type floor struct {
	upgrader websocket.Upgrader
	batched  bool

	mu     sync.Mutex
	topics map[string][]*floorConn
	all    map[*floorConn]struct{}
	closed bool
	ended  sync.WaitGroup // readers and writers
}

// ServeFloor runs a floor server of a kind, "direct" or "batched", on a loopback
// port until ctx ends. It prints its URL.
func ServeFloor(ctx context.Context, stdout io.Writer, kind string) error {
	if kind != floorDirect && kind != floorBatched {
		return fmt.Errorf("floor: unknown kind %[3]q: must be %[1]s or %[2]s", floorDirect, floorBatched, kind)
	}
	f := &floor{
		upgrader: websocket.Upgrader{ReadBufferSize: 512, WriteBufferSize: 512, WriteBufferPool: &sync.Pool{}},
		batched:  kind == floorBatched,
		topics:   map[string][]*floorConn{},
		all:      map[*floorConn]struct{}{},
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("floor: %w", err)
	}
	server := &http.Server{Handler: f}
	stop := context.AfterFunc(ctx, func() {
		server.Close()
		f.close()
	})
	defer stop()
	fmt.Fprintf(stdout, "floor: listening at http://%s\n", listener.Addr())
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("floor: %w", err)
	}
	f.ended.Wait()
	return nil
}

func (f *floor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := &floorConn{floor: f}
	ws, err := f.upgrader.Upgrade(&corkingWriter{ResponseWriter: w, conn: c}, r, nil)
	if err != nil {
		return // Upgrade has replied
	}
	c.ws = ws
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		ws.Close()
		return
	}
	f.all[c] = struct{}{}
	if f.batched {
		c.ready, c.ended = make(chan struct{}, 1), make(chan struct{})
		f.ended.Go(c.write)
	}
	f.ended.Go(c.read)
}

// close closes all connections, which ends their goroutines.
func (f *floor) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	for c := range f.all {
		c.ws.Close()
	}
}

// floorConn is one connection.
type floorConn struct {
	floor  *floor
	ws     *websocket.Conn
	corked corkedConn
	topics []string // owned by read

	mu      sync.Mutex // guards writes; if batched, queue
	failing bool

	// Batched only.
	queue []*websocket.PreparedMessage
	ready chan struct{}                // capacity 1: queue is not empty
	ended chan struct{}                // closed by read
	spare []*websocket.PreparedMessage // owned by write
}

func (c *floorConn) read() {
	defer c.close()
	var buffer []byte
	for {
		_, r, err := c.ws.NextReader()
		if err != nil {
			return
		}
		if buffer, err = readAll(buffer[:0], r); err != nil {
			return
		}
		if err := c.receive(buffer); err != nil {
			return
		}
		if cap(buffer) > 512 {
			buffer = nil
		}
	}
}

func (c *floorConn) close() {
	c.ws.Close()
	if c.ended != nil {
		close(c.ended)
	}
	c.floor.mu.Lock()
	defer c.floor.mu.Unlock()
	delete(c.floor.all, c)
	for _, topic := range c.topics {
		members := slices.Clone(c.floor.topics[topic]) // a broadcast may be reading the old slice
		if i := slices.Index(members, c); i >= 0 {
			members = slices.Delete(members, i, i+1)
		}
		if c.floor.topics[topic] = members; len(members) == 0 {
			delete(c.floor.topics, topic)
		}
	}
}

// receive answers a frame as the clients of this package expect.
func (c *floorConn) receive(data []byte) error {
	m, err := parseFrame(data)
	if err != nil {
		return err
	}
	switch topic := string(m.topic); string(m.event) {
	case "phx_join":
		_, key, _ := bytes.Cut(m.payload, []byte(`"key":"`))
		key, _, ok := bytes.Cut(key, []byte(`"`))
		if !ok {
			return errFrame
		}
		c.topics = append(c.topics, topic)
		c.floor.mu.Lock()
		c.floor.topics[topic] = append(slices.Clip(c.floor.topics[topic]), c)
		c.floor.mu.Unlock()
		if err := c.reply(m); err != nil {
			return err
		}
		return c.send(fmt.Appendf(nil, `["1",null,"%s","presence_state",{"%s":{"metas":[{"n":1}]}}]`, topic, key))
	case "broadcast":
		payload, ok := bytes.CutPrefix(m.payload, []byte(`{"event":"`+publishEvent+`","payload":`))
		if !ok {
			return errFrame
		}
		if err := c.reply(m); err != nil {
			return err
		}
		return c.floor.broadcast(topic, payload[:len(payload)-1])
	}
	return c.reply(m)
}

func (c *floorConn) reply(m frame) error {
	return c.send(fmt.Appendf(nil, `["%s","%s","%s","phx_reply",{"status":"ok","response":{}}]`, m.joinRef, m.ref, m.topic))
}

func (f *floor) broadcast(topic string, payload []byte) error {
	message, err := prepared(fmt.Appendf(nil, `[null,null,"%s","%s",%s]`, topic, publishEvent, payload))
	if err != nil {
		return err
	}
	f.mu.Lock()
	members := f.topics[topic]
	f.mu.Unlock()
	for _, c := range members {
		c.put(message) // a failed write ends that connection only
	}
	return nil
}

func prepared(text []byte) (*websocket.PreparedMessage, error) {
	return websocket.NewPreparedMessage(websocket.TextMessage, text)
}

func (c *floorConn) send(text []byte) error {
	message, err := prepared(text)
	if err == nil {
		c.put(message)
	}
	return err
}

// put writes a message, or queues it if batched.
func (c *floorConn) put(message *websocket.PreparedMessage) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.floor.batched {
		if !c.failing && c.ws.WritePreparedMessage(message) != nil {
			c.failing = true
			c.ws.Close()
		}
		return
	}
	if c.queue = append(c.queue, message); len(c.queue) == 1 {
		select {
		case c.ready <- struct{}{}:
		default:
		}
	}
}

// write writes all queued messages at once.
func (c *floorConn) write() {
	for {
		select {
		case <-c.ready:
		case <-c.ended:
			return
		}
		c.mu.Lock()
		c.queue, c.spare = c.spare[:0], c.queue
		c.mu.Unlock()
		c.corked.cork(len(c.spare) > 1)
		for _, message := range c.spare {
			if c.ws.WritePreparedMessage(message) != nil {
				c.ws.Close()
			}
		}
		if c.corked.uncork() != nil {
			c.ws.Close()
		}
		clear(c.spare)
	}
}

// corkedConn buffers writes between cork and uncork. Only one goroutine writes: the
// clients send no pings, to which the reader would reply.
type corkedConn struct {
	net.Conn
	corked bool
	held   []byte
}

func (c *corkedConn) cork(on bool) { c.corked = on }

func (c *corkedConn) uncork() error {
	c.corked = false
	if len(c.held) == 0 {
		return nil
	}
	_, err := c.Conn.Write(c.held)
	if c.held = c.held[:0]; cap(c.held) > 64<<10 {
		c.held = nil
	}
	return err
}

func (c *corkedConn) Write(p []byte) (int, error) {
	if c.corked {
		c.held = append(c.held, p...)
		return len(p), nil
	}
	return c.Conn.Write(p)
}

// corkingWriter hands gorilla a corkedConn when it hijacks the connection.
type corkingWriter struct {
	http.ResponseWriter
	conn *floorConn
}

func (w *corkingWriter) Hijack() (conn net.Conn, rw *bufio.ReadWriter, err error) {
	raw, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil || !w.conn.floor.batched {
		return raw, rw, err
	}
	w.conn.corked.Conn = raw
	return &w.conn.corked, rw, nil
}
