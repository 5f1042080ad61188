package load

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"
)

// The numbers of joins in kill: before the server is killed, and after.
const (
	firstJoin = 1
	joinAgain = 2
)

// killing is the topics of the killed server, each watched from the other server.
type killing struct {
	*run
	parser *sharedParser
	origin time.Time

	there, back        atomic.Int64 // first joins and rejoins that watchers see
	firstGone, allGone atomic.Int64 // ns since origin
	allBack            atomic.Int64
}

// kill kills the first server, which has clients in some topics, and waits until
// watchers on the second see none of them. With Reconnect the clients reconnect to
// the second server, and kill first waits until the watchers see them all again.
func (r *run) kill(ctx context.Context) ([]Row, error) {
	k := &killing{run: r, parser: newSharedParser(), origin: time.Now()}
	quiet, err := r.openQuietRooms(ctx, r.servers.targets[1])
	if err != nil {
		return nil, err
	}
	defer quiet.close()
	f := newFleet(k.handle)
	defer f.close()
	topics := (r.Clients + r.PerTopic - 1) / r.PerTopic
	joinAs := func(n int64) func(*client) error {
		return func(c *client) error {
			topic := c.id / r.PerTopic
			if c.id >= r.Clients {
				topic = c.id - r.Clients
			}
			return c.join(joinFrame(r.topic(topic), c.id, n))
		}
	}

	r.show.set("connecting", nil)
	quiet.during("connect")
	if _, err := f.connect(ctx, r.Clients, topics, r.servers.targets[1], joinAs(firstJoin)); err != nil {
		return nil, err
	}
	doomed, err := f.connect(ctx, 0, r.Clients, r.servers.targets[0], joinAs(firstJoin))
	if err != nil {
		return nil, err
	}
	err = f.await(ctx, settle, "all clients to be seen on the other server", func() bool { return k.there.Load() == int64(r.Clients+topics) })
	if err != nil {
		return nil, err
	}
	if err := f.quiet(ctx, settle); err != nil {
		return nil, err
	}

	r.show.set("killed", nil)
	quiet.during("kill")
	for _, c := range doomed {
		c.gone.Store(true)
	}
	survivor := r.servers.pids[1:]
	before, joins, began := usageOf(survivor), f.joins.Load(), time.Since(k.origin)
	r.servers.children[0].kill()
	cells := []Cell{cell("presences", "presences", 0, float64(r.Clients))}
	if r.Reconnect {
		r.show.set("killed", func() string { return fmt.Sprintf("%d joined again", f.joins.Load()-joins) })
		if err := f.reconnect(ctx, 0, r.Clients, r.servers.targets[1], joinAs(joinAgain)); err != nil {
			return nil, err
		}
		connected := time.Since(k.origin)
		err := f.await(ctx, settle, "all to have joined again", func() bool { return f.joins.Load()-joins == int64(r.Clients) })
		if err != nil {
			return nil, err
		}
		joined := time.Since(k.origin)
		err = f.await(ctx, settle, "all to be seen again", func() bool { return k.back.Load() == int64(r.Clients) })
		if err != nil {
			return nil, err
		}
		cells = append(cells,
			cell("connected_again_s", "connected again s", 2, (connected-began).Seconds()),
			cell("joined_again_s", "joined again s", 2, (joined-began).Seconds()),
			cell("seen_again_s", "seen again s", 2, (time.Duration(k.allBack.Load())-began).Seconds()),
			cell("redials", "failed tries", 0, float64(f.redials.Load())),
			cell("refused", "joins refused for now", 0, float64(f.refused.Load())))
	}
	err = f.await(ctx, settle, "the presences of the killed server to be gone", func() bool { return k.there.Load() == int64(topics) })
	if err != nil {
		return nil, err
	}
	after := usageOf(survivor)
	rows, err := quiet.rows()
	return append([]Row{{Step: "kill", Cells: append(cells,
		cell("all_gone_s", "all gone s", 2, (time.Duration(k.allGone.Load())-began).Seconds()),
		cell("first_gone_s", "first gone s", 2, (time.Duration(k.firstGone.Load())-began).Seconds()),
		cell("server_cpu_s", "CPU s of the other server", 2, known((after.cpu-before.cpu).Seconds(), before, after)),
		cell("server_peak_mib", "its peak MiB", 1, known(mib(after.peak), after)),
	)}}, rows...), err
}

// handle is called by the readers. Only frames of watchers count.
func (k *killing) handle(c *client, m frame) error {
	if c.id < k.Clients {
		return nil
	}
	change, state, err := presenceOf(k.parser, m)
	if change == nil || err != nil {
		return err
	}
	if c.seen == nil {
		users := k.Clients + (k.Clients+k.PerTopic-1)/k.PerTopic
		c.seen, c.again = newSeen(users), newSeen(users)
	}
	wasThere, wasBack := c.seen.count, c.again.count
	c.seen.apply(state, change.of(firstJoin))
	c.again.apply(state, change.of(joinAgain))
	now := int64(time.Since(k.origin))
	if c.seen.count < wasThere {
		k.firstGone.CompareAndSwap(0, now)
		k.allGone.Store(now)
	}
	if c.again.count > wasBack {
		k.allBack.Store(now)
	}
	k.there.Add(int64(c.seen.count - wasThere))
	k.back.Add(int64(c.again.count - wasBack))
	return nil
}
