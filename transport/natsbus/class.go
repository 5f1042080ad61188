package natsbus

import (
	"fmt"
	"slices"

	"github.com/nats-io/nats.go"

	"github.com/rollcall-go/rollcall/bus"
)

// A class is a class of destinations that some Conn is subscribed to as a whole.
type class struct {
	name, subject string             // static
	sub           *nats.Subscription // guarded by Bus.change
	conns                            // guarded by Bus.mu, not empty
}

// SubscribeAll implements bus.Conn. NATS sends everything of the class, also what is
// for other lanes.
func (c *conn) SubscribeAll(name string) error {
	if err := bus.CheckDest(name); err != nil {
		return err
	}
	b := c.bus
	b.change.Lock()
	defer b.change.Unlock()
	if c.closed.Load() {
		return fmt.Errorf("%w: subscribe to class %q", bus.ErrClosed, name)
	}
	if k := b.class(name); k != nil {
		if !slices.Contains(k.conns, c) {
			b.mu.Lock()
			k.conns = append(k.conns, c)
			b.mu.Unlock()
		}
		return nil
	}
	// As in Subscribe, the pump knows the class before the first message comes.
	k := &class{name: name, subject: b.everything(name), conns: conns{c}}
	b.mu.Lock()
	b.classes = append(b.classes, k)
	b.mu.Unlock()
	var err error
	if k.sub, err = b.nc.ChanSubscribe(k.subject, b.messages); err != nil {
		b.removeClass(k)
		return fmt.Errorf("natsbus: subscribe to class %q: %w", name, err)
	}
	return nil
}

// UnsubscribeAll implements bus.Conn.
func (c *conn) UnsubscribeAll(name string) error {
	if err := bus.CheckDest(name); err != nil {
		return err
	}
	b := c.bus
	b.change.Lock()
	defer b.change.Unlock()
	if k := b.class(name); k != nil {
		b.dropClass(k, c)
	}
	return nil
}

// class returns the class of that name, nil if no Conn is subscribed to it. The caller
// holds change.
func (b *Bus) class(name string) *class {
	i := slices.IndexFunc(b.classes, func(k *class) bool { return k.name == name })
	if i < 0 {
		return nil
	}
	return b.classes[i]
}

// dropClass takes c from a class, and ends the subscription when it was the last. The
// caller holds change.
func (b *Bus) dropClass(k *class, c *conn) {
	if !slices.Contains(k.conns, c) {
		return
	}
	b.mu.Lock()
	k.conns = k.without(c)
	last := len(k.conns) == 0
	b.mu.Unlock()
	if last {
		b.removeClass(k)
		b.end(k.sub)
	}
}

func (b *Bus) removeClass(k *class) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.classes = slices.DeleteFunc(b.classes, func(other *class) bool { return other == k })
}

// everything returns the NATS subject of a whole class.
func (b *Bus) everything(class string) string {
	if b.cfg.Buckets > 0 && class == bus.ClassTopic {
		return b.bucketPrefix + "*"
	}
	return string(appendToken([]byte(b.cfg.Prefix+"."), class)) + ".*"
}
