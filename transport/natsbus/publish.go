package natsbus

import (
	"errors"
	"fmt"
	"sync"

	"github.com/nats-io/nats.go"

	"github.com/rollcall-go/rollcall/bus"
)

// keptBuffer is the largest buffer that is kept for reuse, in bytes.
const keptBuffer = 64 << 10

// buffers holds what Publish needs for the time of a call: nats.go copies
// what it is given before it returns.
var buffers = sync.Pool{New: func() any { return new(buffer) }}

type buffer struct {
	subject []byte
	payload []byte
}

// Publish implements bus.Conn.
func (c *conn) Publish(dest string, data []byte) error { return c.publish(dest, data, false) }

// Request implements bus.Conn. NATS counts the subscriptions of all lanes.
func (c *conn) Request(dest string, data []byte) error { return c.publish(dest, data, true) }

func (c *conn) publish(dest string, data []byte, request bool) error {
	if err := bus.CheckDest(dest); err != nil {
		return err
	}
	b := c.bus
	// nc would find out too, but it may be busy connecting, for seconds.
	switch {
	case c.closed.Load():
		return fmt.Errorf("%w: publish to %q", bus.ErrClosed, dest)
	case !b.up.Load():
		return fmt.Errorf("%w: publish to %q", bus.ErrDown, dest)
	}
	if limit := b.MaxPayload(); len(data) > limit {
		return fmt.Errorf("%w: %d bytes to %q, at most %d", bus.ErrPayload, len(data), dest, limit)
	}
	buf := buffers.Get().(*buffer)
	defer func() {
		if cap(buf.payload) <= keptBuffer {
			buffers.Put(buf)
		}
	}()
	if b.bucketed(dest) {
		buf.subject = b.appendBucket(buf.subject[:0], dest)
		buf.payload = appendBucketed(buf.payload[:0], c.lane, dest, data)
	} else {
		buf.subject = b.appendSubject(buf.subject[:0], dest)
		buf.payload = append(append(buf.payload[:0], byte(c.lane)), data...)
	}
	subject := b.subjectName(buf.subject)
	var err error
	if request {
		err = b.nc.PublishRequest(subject, string(b.requests.add([]byte(b.inbox), c.lane, dest)), buf.payload)
	} else {
		err = b.nc.Publish(subject, buf.payload)
	}
	switch {
	case err == nil:
		b.published.Add(1)
		return nil
	case errors.Is(err, nats.ErrReconnectBufExceeded), errors.Is(err, nats.ErrConnectionClosed):
		return fmt.Errorf("%w: publish to %q: %w", bus.ErrDown, dest, err)
	default:
		return fmt.Errorf("natsbus: publish to %q: %w", dest, err)
	}
}

// subjectName makes a string of a subject, which costs nothing for one that is
// subscribed to: that is where most messages go.
func (b *Bus) subjectName(name []byte) string {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if s := b.subjects[string(name)]; s != nil {
		return s.name
	}
	if s := b.buckets[string(name)]; s != nil {
		return s.name
	}
	return string(name)
}
