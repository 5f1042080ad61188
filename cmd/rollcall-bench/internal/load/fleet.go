package load

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// dialers limits concurrent connects and joins, unless a mass join is what is
	// measured.
	dialers = 32
	// pulse is the heartbeat interval of each client, that of phoenix.js.
	pulse = 30 * time.Second
	// quietFor is the time without frames after which a fleet is quiet.
	quietFor = 300 * time.Millisecond
)

// fleet is the clients of one run. Its methods may be called concurrently, except
// connect and close.
type fleet struct {
	// Static.
	handle func(c *client, f frame) error // called by the reader of c
	failed chan struct{}                  // closed at the first fault

	bytesRead atomic.Int64
	frames    atomic.Int64 // received, not counting replies to heartbeats
	joins     atomic.Int64 // ok replies to joins
	leaves    atomic.Int64 // ok replies to leaves
	refused   atomic.Int64 // joins refused as overloaded, and sent again
	redials   atomic.Int64 // failed attempts to reconnect

	readers sync.WaitGroup
	beat    sync.WaitGroup
	stop    chan struct{}

	mu      sync.Mutex
	clients []*client
	closing bool
	err     error // the first fault
}

// newFleet starts sending heartbeats. The caller must close the fleet.
func newFleet(handle func(*client, frame) error) *fleet {
	f := &fleet{handle: handle, failed: make(chan struct{}), stop: make(chan struct{})}
	f.beat.Go(f.heartbeats)
	return f
}

// fail records the first fault and ends every wait for the fleet.
func (f *fleet) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil && !f.closing {
		f.err = err
		close(f.failed)
	}
}

// fault returns the first fault, or nil.
func (f *fleet) fault() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

// connect connects n clients with ids from first, dialers at a time, and calls then
// for each as soon as it is connected.
func (f *fleet) connect(ctx context.Context, first, n int, target *url.URL, then func(*client) error) ([]*client, error) {
	all := make([]*client, n)
	err := parallel(ctx, n, func(ctx context.Context, i int) error {
		c, err := dial(ctx, f, first+i, target)
		if err != nil {
			return err
		}
		f.add(c)
		all[i] = c
		return then(c)
	})
	return all, errors.Join(err, f.fault())
}

func (f *fleet) add(c *client) {
	f.mu.Lock()
	f.clients = append(f.clients, c)
	f.mu.Unlock()
	f.readers.Go(c.read)
}

// parallel calls do with 0 to n-1, dialers at a time, until a call fails.
func parallel(ctx context.Context, n int, do func(context.Context, int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var all sync.WaitGroup
	for range min(n, dialers) {
		all.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if err := do(ctx, i); err != nil {
					cancel(err)
				}
			}
		})
	}
	all.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}

// receive counts replies. Other frames, and replies to leaves, go to the handler of
// the mode.
func (f *fleet) receive(c *client, m frame) error {
	if string(m.ref) != refHeartbeat {
		f.frames.Add(1)
	}
	if string(m.event) != "phx_reply" {
		if string(m.event) == "phx_error" {
			return fmt.Errorf("the server ended the channel %s: %.200s", m.topic, m.payload)
		}
		return f.handle(c, m)
	}
	if !bytes.HasPrefix(m.payload, []byte(`{"status":"ok"`)) && !bytes.Contains(m.payload, []byte(`"status":"ok"`)) {
		if overloaded(m) && c.joining.Load() != nil {
			f.rejoin(c)
			return nil
		}
		return fmt.Errorf("refused (ref %s on %s): %.200s", m.ref, m.topic, m.payload)
	}
	switch string(m.ref) {
	case refJoin:
		f.joins.Add(1)
	case refLeave:
		f.leaves.Add(1)
		return f.handle(c, m)
	}
	return nil
}

// await polls until done returns true, for at most limit. The error says what was
// awaited.
func (f *fleet) await(ctx context.Context, limit time.Duration, what string, done func() bool) error {
	return f.awaitAt(ctx, limit, 5*time.Millisecond, what, done)
}

func (f *fleet) awaitAt(ctx context.Context, limit, every time.Duration, what string, done func() bool) error {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("waited %v for %s", limit, what))
	defer cancel()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-f.failed:
			return f.fault()
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return f.fault()
}

// quiet waits until no frame has arrived for quietFor.
func (f *fleet) quiet(ctx context.Context, limit time.Duration) error {
	last, since := f.frames.Load(), time.Now()
	return f.await(ctx, limit, "silence after the joins", func() bool {
		if n := f.frames.Load(); n != last {
			last, since = n, time.Now()
		}
		return time.Since(since) >= quietFor
	})
}

// sleepUntil waits until at. It returns early with an error if ctx ends or the
// fleet fails.
func (f *fleet) sleepUntil(ctx context.Context, at time.Time) error {
	if d := time.Until(at); d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-f.failed:
		case <-ctx.Done():
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return f.fault()
}

// heartbeats sends the heartbeats of all clients, spread evenly over the interval,
// so that the server does not close idle ones.
func (f *fleet) heartbeats() {
	const parts = 3000 // a few clients at a time
	tick := time.NewTicker(pulse / parts)
	defer tick.Stop()
	for slice := 0; ; slice = (slice + 1) % parts {
		select {
		case <-tick.C:
		case <-f.stop:
			return
		}
		f.mu.Lock()
		clients := slices.Clone(f.clients)
		f.mu.Unlock()
		for i := slice; i < len(clients); i += parts {
			if c := clients[i]; !c.gone.Load() {
				if err := c.send([]byte(heartbeatFrame)); err != nil && !c.gone.Load() {
					f.fail(err)
				}
			}
		}
	}
}

// close closes all connections and waits for every goroutine of the fleet.
func (f *fleet) close() {
	f.mu.Lock()
	f.closing = true
	clients := f.clients
	f.mu.Unlock()
	close(f.stop)
	for _, c := range clients {
		c.hangUp()
	}
	f.beat.Wait()
	f.readers.Wait()
}
