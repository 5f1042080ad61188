package natsbus

import (
	"fmt"
	"log/slog"
	"slices"

	"github.com/nats-io/nats.go"

	"github.com/rollcall-go/rollcall/bus"
)

// A subject is one destination that some Conn is subscribed to.
type subject struct {
	name   string             // its key
	sub    *nats.Subscription // guarded by Bus.change; nil in a bucket
	bucket *bucket            // static
	conns                     // guarded by Bus.mu, not empty
}

// Subscribe implements bus.Conn. Errors of a closed connection come wrapped; a
// refusal by the server is only logged.
func (c *conn) Subscribe(dest string) error {
	if err := bus.CheckDest(dest); err != nil {
		return err
	}
	b := c.bus
	b.change.Lock()
	defer b.change.Unlock()
	if c.closed.Load() {
		return fmt.Errorf("%w: subscribe to %q", bus.ErrClosed, dest)
	}
	key, subj := b.key(dest)
	if s := b.subjects[key]; s != nil {
		if !slices.Contains(s.conns, c) {
			b.mu.Lock()
			s.conns = append(s.conns, c)
			b.mu.Unlock()
		}
		return nil
	}
	// Registered before it is subscribed to, so that the pump knows the subject
	// of the first message.
	s := &subject{name: key, conns: conns{c}}
	b.mu.Lock()
	b.subjects[key] = s
	b.mu.Unlock()
	var err error
	if key == subj {
		s.sub, err = b.nc.ChanSubscribe(subj, b.messages)
	} else {
		s.bucket, err = b.useBucket(subj)
	}
	if err != nil {
		b.mu.Lock()
		delete(b.subjects, key)
		b.mu.Unlock()
		return fmt.Errorf("natsbus: subscribe to %q: %w", dest, err)
	}
	return nil
}

// Unsubscribe implements bus.Conn.
func (c *conn) Unsubscribe(dest string) error {
	if err := bus.CheckDest(dest); err != nil {
		return err
	}
	b := c.bus
	b.change.Lock()
	defer b.change.Unlock()
	key, _ := b.key(dest)
	s := b.subjects[key]
	if s == nil || !slices.Contains(s.conns, c) {
		return nil
	}
	b.mu.Lock()
	last := b.drop(s, c)
	b.mu.Unlock()
	if last {
		b.unsubscribe(s)
	}
	return nil
}

// drop takes c from a subject, and the subject from the bus when c was the last, and
// reports whether it was. The caller holds change and mu.
func (b *Bus) drop(s *subject, c *conn) (last bool) {
	if s.conns = s.without(c); len(s.conns) > 0 {
		return false
	}
	delete(b.subjects, s.name)
	return true
}

// unsubscribe ends the NATS subscription of a subject that no Conn has, or of its
// bucket when it was the last in it. The caller holds change.
func (b *Bus) unsubscribe(s *subject) {
	if s.bucket == nil {
		b.end(s.sub)
		return
	}
	b.leaveBucket(s.bucket)
}

func (b *Bus) end(sub *nats.Subscription) {
	// It fails on a closed or draining connection only, which has no
	// subscriptions to end.
	if err := sub.Unsubscribe(); err != nil {
		b.cfg.Logger.Debug("natsbus: unsubscribe", slog.String("subject", sub.Subject), slog.Any("error", err))
	}
}
