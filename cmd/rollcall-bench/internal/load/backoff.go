package load

import (
	"bytes"
	"context"
	"net/url"
	"sync"
	"time"
)

// The pauses of phoenix.js before each try, the last for all further ones: to
// connect again after a connection was lost, and to join again after a refusal.
var (
	reconnectAfter = []time.Duration{
		10 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond, 150 * time.Millisecond, 200 * time.Millisecond,
		250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second, 5 * time.Second,
	}
	rejoinAfter = []time.Duration{time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second}
)

// pause is the one before a try, from 0.
func pause(all []time.Duration, try int) time.Duration { return all[min(try, len(all)-1)] }

// reconnect has n clients with ids from first connect, each for itself, all at
// once and again after their pauses, as pages do whose server is gone. It calls
// then for each as soon as it is connected.
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

// overloaded tells whether a reply refuses a join until later.
func overloaded(m frame) bool {
	return string(m.ref) == refJoin && bytes.Contains(m.payload, []byte(`"reason":"overloaded"`))
}

// rejoin sends the join of c once more, after a pause. Its reader calls it.
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
