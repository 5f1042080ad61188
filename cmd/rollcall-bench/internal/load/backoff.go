package load

import (
	"bytes"
	"context"
	"net/url"
	"sync"
	"time"
)

// The backoff of phoenix.js before each attempt to reconnect after a lost
// connection, and to rejoin after a refusal. The last delay repeats.
var (
	reconnectAfter = []time.Duration{
		10 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond, 150 * time.Millisecond, 200 * time.Millisecond,
		250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second, 5 * time.Second,
	}
	rejoinAfter = []time.Duration{time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second}
)

// pause returns the delay before an attempt, counted from 0.
func pause(all []time.Duration, try int) time.Duration { return all[min(try, len(all)-1)] }

// reconnect connects n clients with ids from first, all at once, each with its own
// backoff, as pages do when their server is gone. It calls then for each client as
// soon as it is connected.
func (f *fleet) reconnect(ctx context.Context, first, n int, target *url.URL, then func(*client) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			for try := 0; ; try++ {
				if err := f.sleepUntil(ctx, time.Now().Add(pause(reconnectAfter, try))); err != nil {
					return
				}
				c, err := dial(ctx, f, first+i, target)
				if err != nil {
					f.redials.Add(1)
					continue
				}
				f.add(c)
				if err := then(c); err != nil {
					cancel(err)
				}
				return
			}
		})
	}
	all.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return f.fault()
}

// overloaded reports whether a reply refuses a join temporarily.
func overloaded(m frame) bool {
	return string(m.ref) == refJoin && bytes.Contains(m.payload, []byte(`"reason":"overloaded"`))
}

// rejoin sends the join of c again after a delay. It is called by the reader of c.
func (f *fleet) rejoin(c *client) {
	f.refused.Add(1)
	wait := pause(rejoinAfter, c.refusals)
	c.refusals++
	f.readers.Go(func() {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-f.stop:
			return
		}
		if err := c.send(*c.joining.Load()); err != nil && !c.gone.Load() {
			f.fail(err)
		}
	})
}
