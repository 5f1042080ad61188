package load

import (
	"context"
	"time"
)

// remote joins clients on the first server, each of which loses its connection a
// second later. Observers on the second server, in all topics, see both.
func (r *run) remote(ctx context.Context) ([]Row, error) {
	const firstNumber = 2 // 0: observers; 1: a first join, before the measurement
	joins := max(1, int(r.Rate*r.Duration.Seconds()))
	before, times := newMoments(firstNumber), newMoments(joins+firstNumber)
	parser := newSharedParser()
	f := newFleet(func(c *client, m frame) error {
		if c.id >= r.Clients || string(m.event) != "presence_diff" {
			return nil
		}
		change, _, err := presenceOf(parser, m)
		if err == nil {
			before.saw(change)
			times.saw(change)
		}
		return err
	})
	defer f.close()

	r.show.set("connecting", nil)
	join := func(c *client, topic int, n int64) error {
		return c.send(joinFrame(r.topic(topic%r.Topics), c.id, n))
	}
	_, err := f.connect(ctx, 0, r.Clients, r.servers.targets[1], func(c *client) error {
		for topic := range r.Topics {
			if err := join(c, topic, 0); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if err := f.await(ctx, settle, "all to join", func() bool { return f.joins.Load() == int64(r.Clients*r.Topics) }); err != nil {
		return nil, err
	}
	joiners, err := f.connect(ctx, r.Clients, joins+1, r.servers.targets[0], func(*client) error { return nil })
	if err != nil {
		return nil, err
	}
	saw := func(what string, n int, h *Histogram) error {
		return f.await(ctx, settle, what, func() bool { return h.Count() == uint64(n*r.Clients) })
	}
	// The replicas exchange interest in the topic before the measurement.
	if err := f.quiet(ctx, settle); err != nil {
		return nil, err
	}
	before.joinsAt(1, time.Now())
	if err := join(joiners[joins], 0, 1); err != nil {
		return nil, err
	}
	if err := saw("the first join to be seen on the other server", 1, &before.joined); err != nil {
		return nil, err
	}
	if err := f.quiet(ctx, settle); err != nil {
		return nil, err
	}

	r.show.set("joining and leaving", nil)
	usageBefore, began := r.servers.usage(), time.Now()
	due := scattered(began, joins, r.Rate)
	for in, out := 0, 0; out < joins; {
		if in < joins && due[in].Before(due[out].Add(shown)) {
			if err := f.sleepUntil(ctx, due[in]); err != nil {
				return nil, err
			}
			times.joinsAt(int64(in+firstNumber), due[in])
			if err := join(joiners[in], in, int64(in+firstNumber)); err != nil {
				return nil, err
			}
			in++
			continue
		}
		at := due[out].Add(shown)
		if err := f.sleepUntil(ctx, at); err != nil {
			return nil, err
		}
		times.leavesAt(int64(out+firstNumber), at)
		joiners[out].hangUp()
		out++
	}
	if err := saw("every join to be seen on the other server", joins, &times.joined); err != nil {
		return nil, err
	}
	if err := saw("every leave to be seen on the other server", joins, &times.left); err != nil {
		return nil, err
	}
	after := r.servers.usage()
	row := func(step string, h *Histogram) Row {
		return Row{Step: step, Cells: []Cell{
			cell("seen_p50_ms", "p50 ms", 2, millis(h.Percentile(50))),
			cell("seen_p90_ms", "p90 ms", 2, millis(h.Percentile(90))),
			cell("seen_p99_ms", "p99 ms", 2, millis(h.Percentile(99))),
			cell("seen_max_ms", "max ms", 2, millis(h.Percentile(100))),
			cell("samples", "samples", 0, float64(h.Count())),
			cell("server_cpu_s", "server CPU s (both steps)", 2, known((after.cpu-usageBefore.cpu).Seconds(), usageBefore, after)),
		}}
	}
	return []Row{row("join", &times.joined), row("leave (lost connection)", &times.left)}, nil
}
