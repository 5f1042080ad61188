package load

import (
	"context"
	"sync/atomic"
	"time"
)

// fresh joins clients to one topic on two servers, leaves them idle, and starts a
// third server. One client joins there at once and waits until it sees all.
func (r *run) fresh(ctx context.Context) ([]Row, error) {
	parser := newSharedParser()
	newcomer := r.Clients // its id
	var first, there atomic.Int64
	f := newFleet(func(c *client, m frame) error {
		if c.id != newcomer {
			return nil
		}
		change, state, err := presenceOf(parser, m)
		if change == nil || err != nil {
			return err
		}
		if c.seen == nil {
			c.seen = newSeen(newcomer + 1)
		}
		c.seen.apply(state, change)
		if state {
			first.Store(int64(c.seen.count))
		}
		there.Store(int64(c.seen.count))
		return nil
	})
	defer f.close()
	join := func(c *client) error { return c.join(joinFrame(r.topic(0), c.id, 1)) }

	r.show.set("connecting", nil)
	half := r.Clients / 2
	if _, err := f.connect(ctx, 0, half, r.servers.targets[0], join); err != nil {
		return nil, err
	}
	if _, err := f.connect(ctx, half, r.Clients-half, r.servers.targets[1], join); err != nil {
		return nil, err
	}
	if err := f.await(ctx, settle, "all to join", func() bool { return f.joins.Load() == int64(r.Clients) }); err != nil {
		return nil, err
	}
	r.show.set("idle", nil)
	if err := f.sleepUntil(ctx, time.Now().Add(r.Hold)); err != nil {
		return nil, err
	}

	r.show.set("starting one more", nil)
	began := time.Now()
	starting, cancel := startingUp(ctx)
	defer cancel()
	if err := r.servers.startReplica(starting, r.Config, true); err != nil {
		return nil, err
	}
	listening := time.Now()
	if _, err := f.connect(ctx, newcomer, 1, r.servers.targets[2], join); err != nil {
		return nil, err
	}
	err := f.awaitAt(ctx, settle, time.Millisecond, "all to be seen on the fresh server", func() bool { return there.Load() == int64(newcomer+1) })
	if err != nil {
		return nil, err
	}
	seen := time.Now()
	return []Row{{Step: "fresh", Cells: []Cell{
		cell("all_seen_s", "all seen s after it listens", 3, seen.Sub(listening).Seconds()),
		cell("all_seen_since_start_s", "s after its start", 3, seen.Sub(began).Seconds()),
		cell("first_state", "presences in the first state", 0, float64(first.Load())),
		cell("presences", "presences", 0, float64(r.Clients)),
	}}}, nil
}
