package natsbus

import (
	"fmt"
	"slices"
)

// SubscribeAll makes the lane receive what is published to every destination of
// a class, which is what stands before a destination's first colon: "t" for all
// topics. It does nothing where the lane is subscribed already. What the lane is
// subscribed to on its own as well, it receives twice. NATS sends everything of
// the class, also what is for other lanes. Errors: those of Subscribe.
func (b *Bus) SubscribeAll(name byte, of string) error {
	if err := checkDest(of); err != nil {
		return err
	}
	b.change.Lock()
	defer b.change.Unlock()
	l, err := b.subscriber(name, of)
	if err != nil {
		return err
	}
	if c := b.class(of); c != nil {
		if c.lane(name) == nil {
			b.mu.Lock()
			c.lanes = append(c.lanes, l)
			b.mu.Unlock()
		}
		return nil
	}
	// As in Subscribe, the pump knows the class before the first message comes.
	c := &class{name: of, subject: b.everything(of), lanes: lanes{l}}
	b.mu.Lock()
	b.classes = append(b.classes, c)
	b.mu.Unlock()
	if c.sub, err = b.nc.ChanSubscribe(c.subject, b.messages); err != nil {
		b.removeClass(c)
		return fmt.Errorf("natsbus: subscribe to everything of %q: %w", of, err)
	}
	return nil
}

// UnsubscribeAll ends SubscribeAll, as Unsubscribe ends Subscribe.
func (b *Bus) UnsubscribeAll(name byte, of string) error {
	if err := checkDest(of); err != nil {
		return err
	}
	b.change.Lock()
	defer b.change.Unlock()
	if c := b.class(of); c != nil {
		b.leaveClass(c, name)
	}
	return nil
}

// class returns what is subscribed to as a whole, nil if it is not. The caller
// holds change.
func (b *Bus) class(name string) *class {
	i := slices.IndexFunc(b.classes, func(c *class) bool { return c.name == name })
	if i < 0 {
		return nil
	}
	return b.classes[i]
}

// leaveClass takes a lane from a class, and ends the subscription when that was
// the last. The caller holds change.
func (b *Bus) leaveClass(c *class, name byte) {
	if c.lane(name) == nil {
		return
	}
	b.mu.Lock()
	c.lanes = c.without(name)
	last := len(c.lanes) == 0
	b.mu.Unlock()
	if last {
		b.removeClass(c)
		b.end(c.sub)
	}
}

func (b *Bus) removeClass(c *class) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.classes = slices.DeleteFunc(b.classes, func(other *class) bool { return other == c })
}

// everything is the NATS subject of a whole class.
func (b *Bus) everything(class string) string {
	if b.cfg.buckets > 0 && class == bucketClass {
		return b.bucketPrefix + "*"
	}
	return string(appendToken([]byte(b.cfg.prefix+"."), class)) + ".*"
}

// Settings is what must be the same on all buses of a cluster beside the prefix,
// as text; empty with the defaults.
func (b *Bus) Settings() string {
	if b.cfg.buckets == 0 {
		return ""
	}
	return fmt.Sprintf("buckets=%d", b.cfg.buckets)
}
