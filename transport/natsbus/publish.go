package natsbus

import (
	"errors"
	"fmt"
	"sync"

	"github.com/nats-io/nats.go"
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

// Publish sends data to all that are subscribed to dest on this lane, this bus
// included. The lane need not be open here. Errors: ErrDest, ErrPayload,
// ErrDown, ErrClosed. No error does not mean that it was sent: what is on its
// way when the connection breaks is lost.
func (b *Bus) Publish(lane byte, dest string, data []byte) error {
	return b.publish(lane, dest, data, false)
}

// Request is Publish, and tells the lane "unreachable" with dest when NATS
// knows that nobody, this bus included, is subscribed to dest on any lane.
func (b *Bus) Request(lane byte, dest string, data []byte) error {
	return b.publish(lane, dest, data, true)
}

func (b *Bus) publish(lane byte, dest string, data []byte, request bool) error {
	if err := checkDest(dest); err != nil {
		return err
	}
	select {
	case <-b.quit:
		return fmt.Errorf("%w: publish to %q", ErrClosed, dest)
	default:
	}
	// nc would find out too, but it may be busy connecting, for seconds.
	if !b.up.Load() {
		return fmt.Errorf("%w: publish to %q", ErrDown, dest)
	}
	if limit := b.MaxPayload(); len(data) > limit {
		return fmt.Errorf("%w: %d bytes to %q, at most %d", ErrPayload, len(data), dest, limit)
	}
	buf := buffers.Get().(*buffer)
	defer func() {
		if cap(buf.payload) <= keptBuffer {
			buffers.Put(buf)
		}
	}()
	if b.bucketed(dest) {
		buf.subject = b.appendBucket(buf.subject[:0], dest)
		buf.payload = appendBucketed(buf.payload[:0], lane, dest, data)
	} else {
		buf.subject = b.appendSubject(buf.subject[:0], dest)
		buf.payload = append(append(buf.payload[:0], lane), data...)
	}
	subject := b.subjectName(buf.subject)
	var err error
	if request {
		err = b.nc.PublishRequest(subject, string(b.requests.add([]byte(b.inbox), lane, dest)), buf.payload)
	} else {
		err = b.nc.Publish(subject, buf.payload)
	}
	switch {
	case err == nil:
		b.published.Add(1)
		return nil
	case errors.Is(err, nats.ErrReconnectBufExceeded), errors.Is(err, nats.ErrConnectionClosed):
		return fmt.Errorf("%w: publish to %q: %w", ErrDown, dest, err)
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

// MaxPayload is the most bytes one message may have: what the server takes now
// (while down: what it took before), less the byte for the lane and, with
// Buckets, the destination.
func (b *Bus) MaxPayload() int {
	if b.up.Load() {
		return int(b.nc.MaxPayload()) - b.cfg.overhead()
	}
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.maxPayload - b.cfg.overhead()
}
