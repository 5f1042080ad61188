package natsbus

import (
	"log/slog"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/rollcall-go/rollcall/bus"
)

// channelMessages is how many messages nats.go may have for the pump.
const channelMessages = 1024

// pump empties the channel that all subscriptions feed into the queues of the
// Conns. It never waits for a Conn, so the channel fills only when this
// goroutine is kept from running.
//
// nats.go drops what does not fit into the channel. Its ErrSlowConsumer is not
// what tells us: it comes once for each subject and not again before that
// subject gets a message, so it may precede further drops that nothing follows.
// But whatever is dropped, the channel is full then, and the next receive here
// leaves it with at most one place free. From that receive on messages count
// as missing, until the channel has been emptied, or much has been received:
// then every Conn is told, once. Nothing dropped later can be taken for told.
func (b *Bus) pump() {
	defer close(b.pumped)
	const tellAfter = 16 * channelMessages
	missing, since := false, 0
	for {
		select {
		case <-b.quit:
			return
		case m := <-b.messages:
			if !missing && len(b.messages) >= channelMessages-1 {
				missing, since = true, 0
				b.overruns.Add(1)
				b.cfg.Logger.Warn("natsbus: messages may have been dropped, this process is too slow", slog.Int("channel", channelMessages))
			}
			b.dispatch(m)
			if !missing {
				continue
			}
			if since++; len(b.messages) == 0 || since >= tellAfter {
				missing = false
				b.eachConn(func(c *conn) { c.queue.Missed() })
			}
		}
	}
}

// dispatch gives a message to the Conn it is for, if that is subscribed.
func (b *Bus) dispatch(m *nats.Msg) {
	if m.Sub == b.inboxSub {
		b.answer(m)
		return
	}
	if len(m.Data) == 0 {
		return
	}
	// The slice has only its own bytes behind it: the callee may append.
	key, data := []byte(nil), m.Data[1:len(m.Data):len(m.Data)]
	if b.cfg.Buckets > 0 && strings.HasPrefix(m.Subject, b.bucketPrefix) {
		var ok bool
		if key, data, ok = splitBucketed(m.Data); !ok {
			return
		}
	}
	if c := b.receiver(m, key); c != nil {
		b.received.Add(1)
		if !c.queue.Message(data) {
			b.warnDropped(c)
		}
	}
}

// receiver returns the Conn that a message is for, nil without one. key is its
// destination where it came in a bucket.
func (b *Bus) receiver(m *nats.Msg, key []byte) *conn {
	lane := bus.Lane(m.Data[0])
	b.mu.RLock()
	defer b.mu.RUnlock()
	for _, k := range b.classes {
		if k.subject == m.Sub.Subject {
			return k.of(lane)
		}
	}
	s := b.subjects[m.Subject]
	if key != nil {
		s = b.subjects[string(key)]
	}
	if s == nil {
		return nil
	}
	return s.of(lane)
}

// answer takes what came on the inbox: the server's word that a request
// reached nobody. Anything else is not ours.
func (b *Bus) answer(m *nats.Msg) {
	if len(m.Data) != 0 || m.Header.Get("Status") != "503" {
		return
	}
	lane, dest, ok := b.requests.take(m.Subject[len(b.inbox):])
	if !ok {
		return
	}
	b.mu.RLock()
	c := b.open[lane]
	b.mu.RUnlock()
	if c != nil && !c.queue.Unreachable(dest) {
		b.warnDropped(c)
	}
}

// warnDropped logs the first drop before each Lost.
func (b *Bus) warnDropped(c *conn) {
	_, _, told := c.queue.Counts()
	if c.warned == told+1 {
		return
	}
	c.warned = told + 1
	b.cfg.Logger.Warn("natsbus: messages dropped, the queue of a lane is full",
		slog.String("lane", string(rune(c.lane))), slog.Int("limit_bytes", b.cfg.QueueBytes))
}
