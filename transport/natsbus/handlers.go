package natsbus

import (
	"errors"
	"log/slog"

	"github.com/nats-io/nats.go"
)

// chainHandlers puts ours in front of the connection's. They stay there after
// Close, when they only pass on: nats.go cannot tell whether others were put in
// front of them. nats.go calls all from one goroutine.
func (b *Bus) chainHandlers() {
	nc := b.nc
	disconnected := nc.DisconnectErrHandler()
	if old := nc.Opts.DisconnectedCB; disconnected == nil && old != nil { // nats.go calls only one of the two
		disconnected = func(nc *nats.Conn, _ error) { old(nc) }
	}
	nc.SetDisconnectErrHandler(func(nc *nats.Conn, err error) {
		b.setUp(false)
		if disconnected != nil {
			disconnected(nc, err)
		}
	})
	reconnected := nc.ReconnectHandler()
	nc.SetReconnectHandler(func(nc *nats.Conn) {
		b.setUp(true)
		if reconnected != nil {
			reconnected(nc)
		}
	})
	closed := nc.ClosedHandler()
	nc.SetClosedHandler(func(nc *nats.Conn) {
		b.setUp(false)
		if closed != nil {
			closed(nc)
		}
	})
	failed := nc.ErrorHandler()
	nc.SetErrorHandler(func(nc *nats.Conn, sub *nats.Subscription, err error) {
		b.asyncError(sub, err)
		if failed != nil {
			failed(nc, sub, err)
		}
	})
}

// setUp reports to every Conn what became of the connection.
func (b *Bus) setUp(up bool) {
	var limit int
	if up {
		limit = int(b.nc.MaxPayload()) // before mu: it may wait for nc
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if up {
		b.maxPayload = limit
	}
	b.up.Store(up)
	for _, c := range b.open { // each has its own queue: the order is not seen
		c.queue.Link(up)
	}
}

// asyncError takes note of what the server or nats.go says of our
// subscriptions and messages.
func (b *Bus) asyncError(sub *nats.Subscription, err error) {
	select {
	case <-b.quit:
		return
	default:
	}
	if errors.Is(err, nats.ErrSlowConsumer) {
		return // the pump knows better
	}
	b.refused.Add(1)
	var subject string
	if sub != nil {
		subject = sub.Subject
	}
	b.cfg.Logger.Error("natsbus: refused by the server", slog.String("subject", subject), slog.Any("error", err))
}
