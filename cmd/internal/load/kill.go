package load

import (
	"context"
	"sync/atomic"
	"time"
)

// kill kills the first server, with clients in one topic, and waits until one on
// the second sees none of them.
func (r *run) kill(ctx context.Context) ([]Row, error) {
	origin := time.Now()
	parser := newSharedParser()
	watcher := r.Clients // its id
	var there, firstGone, allGone atomic.Int64
	f := newFleet(func(c *client, m frame) error {
		if c.id != watcher {
			return nil
		}
		change, state, err := presenceOf(parser, m)
		if change == nil || err != nil {
			return err
		}
		if c.seen == nil {
			c.seen = newSeen(watcher + 1)
		}
		was := c.seen.count
		c.seen.apply(state, change)
		if now := int64(time.Since(origin)); c.seen.count < was {
			firstGone.CompareAndSwap(0, now)
			allGone.Store(now)
		}
		there.Store(int64(c.seen.count))
		return nil
	})
	defer f.close()

	r.show.set("connecting", nil)
	join := func(c *client) error { return c.send(joinFrame(r.topic(0), c.id, 1)) }
	if _, err := f.connect(ctx, watcher, 1, r.servers.targets[1], join); err != nil {
		return nil, err
	}
	doomed, err := f.connect(ctx, 0, r.Clients, r.servers.targets[0], join)
	if err != nil {
		return nil, err
	}
	err = f.await(ctx, settle, "all clients to be seen on the other server", func() bool { return there.Load() == int64(watcher+1) })
	if err != nil {
		return nil, err
	}
	if err := f.quiet(ctx, settle); err != nil {
		return nil, err
	}

	r.show.set("killed", nil)
	for _, c := range doomed {
		c.gone.Store(true)
	}
	began := time.Since(origin)
	r.servers.children[0].kill()
	err = f.await(ctx, settle, "the killed server's presences to be gone", func() bool { return there.Load() == 1 })
	if err != nil {
		return nil, err
	}
	return []Row{{Step: "kill", Cells: []Cell{
		cell("all_gone_s", "all gone s", 2, (time.Duration(allGone.Load()) - began).Seconds()),
		cell("first_gone_s", "first gone s", 2, (time.Duration(firstGone.Load()) - began).Seconds()),
		cell("presences", "presences", 0, float64(r.Clients)),
	}}}, nil
}
