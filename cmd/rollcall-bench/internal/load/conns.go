package load

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"sync/atomic"
	"time"
)

// conns connects clients, PerTopic to a topic, and leaves them idle.
func (r *run) conns(ctx context.Context) ([]Row, error) {
	var present atomic.Int64
	f := newFleet(func(c *client, m frame) error {
		// A client is present once a state or a diff shows it to itself.
		if !c.present && bytes.Contains(m.payload, []byte(`"`+userKey(c.id)+`"`)) {
			c.present = true
			present.Add(1)
		}
		return nil
	})
	defer f.close()
	r.show.set("connecting", func() string { return fmt.Sprintf("%d of %d present", present.Load(), r.Clients) })

	before, selfBefore, began := r.servers.usage(), self(), time.Now()
	_, err := f.connect(ctx, 0, r.Clients, r.servers.targets[0], func(c *client) error {
		return c.join(joinFrame(r.topic(c.id/r.PerTopic), c.id, 1))
	})
	if err != nil {
		return nil, err
	}
	err = f.await(ctx, settle, "all to be present", func() bool { return present.Load() == int64(r.Clients) })
	if err != nil {
		return nil, err
	}
	took, joined, selfJoined := time.Since(began), r.servers.usage(), self()

	r.show.set("idle", nil)
	if err := f.sleepUntil(ctx, time.Now().Add(r.Hold)); err != nil {
		return nil, err
	}
	held := r.servers.usage()
	n := float64(r.Clients)
	idle := known(float64(held.cpu-joined.cpu)/float64(r.Hold)*100, joined, held)
	if r.Hold == 0 {
		idle = math.NaN()
	}
	return []Row{{Step: "connect and join", Cells: []Cell{
		cell("server_cpu_us_per_join", "server CPU us each", 1, known(micros(joined.cpu-before.cpu)/n, before, joined)),
		cell("resident_kib_per_connection", "resident KiB each", 1, known(float64(held.resident-before.resident)/1024/n, before, held)),
		cell("resident_kib_per_connection_at_once", "before the idle time", 1, known(float64(joined.resident-before.resident)/1024/n, before, joined)),
		cell("joins_per_s", "joins/s", 0, n/took.Seconds()),
		cell("seconds", "s", 2, took.Seconds()),
		cell("idle_cpu_percent", "idle server CPU %", 1, idle),
		cell("client_cpu_us_per_join", "client CPU us each", 1, known(micros(selfJoined.cpu-selfBefore.cpu)/n, selfBefore, selfJoined)),
	}}}, nil
}
