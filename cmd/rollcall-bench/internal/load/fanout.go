package load

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"
)

// ringSize limits the outstanding publishes at a rate.
const ringSize = 1 << 16

// fanout is one topic with its subscribers, the first of which publish.
type fanout struct {
	// Static once publishing begins.
	*run
	fleet   *fleet
	clients []*client
	origin  time.Time
	tokens  chan struct{} // with a window: one for each publish that may begin

	ring       [ringSize]publish // publish seq is at seq mod ringSize
	deliveries atomic.Int64
	completed  atomic.Int64              // publishes that every subscriber has
	windowed   atomic.Bool               // a completed publish returns its token
	latency    atomic.Pointer[Histogram] // nil while not measuring

	// Owned by the publishing goroutine.
	published int64
	frame     []byte
}

// publish is an outstanding publish.
type publish struct {
	at   atomic.Int64 // scheduled send time, ns since origin
	left atomic.Int64 // subscribers that do not have it
}

// startFanout connects the clients and waits until all have joined.
func (r *run) startFanout(ctx context.Context) (_ *fanout, err error) {
	o := &fanout{run: r, origin: time.Now(), tokens: make(chan struct{}, maxWindow)}
	o.fleet = newFleet(o.handle)
	defer func() {
		if err != nil {
			o.fleet.close()
		}
	}()
	r.show.set("connecting", func() string { return fmt.Sprintf("%d of %d joined", o.fleet.joins.Load(), r.Clients) })
	o.clients, err = o.fleet.connect(ctx, 0, r.Clients, r.servers.targets[0], func(c *client) error {
		return c.join(joinFrame(r.topic(0), c.id, 1))
	})
	if err != nil {
		return nil, err
	}
	if err := o.fleet.await(ctx, settle, "all to join", func() bool { return o.fleet.joins.Load() == int64(r.Clients) }); err != nil {
		return nil, err
	}
	// The presence diffs of the joins must not be measured.
	if err := o.fleet.quiet(ctx, settle); err != nil {
		return nil, err
	}
	return o, nil
}

func (r *run) fanout(ctx context.Context) (rows []Row, err error) {
	o, err := r.startFanout(ctx)
	if err != nil {
		return nil, err
	}
	defer o.fleet.close()
	for _, window := range r.Windows {
		row, err := o.step(ctx, fmt.Sprintf("window %d", window), window, 0)
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	if r.Rate > 0 {
		row, err := o.step(ctx, fmt.Sprintf("%g/s", r.Rate), 0, r.Rate)
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// handle counts a delivery.
func (o *fanout) handle(c *client, m frame) error {
	seq, _, err := c.delivered(m, o.Publishers)
	if seq == 0 || err != nil {
		return err
	}
	p := &o.ring[seq%ringSize]
	if h := o.latency.Load(); h != nil {
		h.Record(time.Since(o.origin) - time.Duration(p.at.Load()))
	}
	o.deliveries.Add(1)
	if p.left.Add(-1) == 0 {
		o.completed.Add(1)
		if o.windowed.Load() {
			o.tokens <- struct{}{} // never blocks: there is room for every window
		}
	}
	return nil
}

// publish sends the next publish, which was scheduled for at.
func (o *fanout) publish(at time.Time) error {
	o.published++
	p := &o.ring[o.published%ringSize]
	p.at.Store(int64(at.Sub(o.origin)))
	p.left.Store(int64(len(o.clients)))
	o.frame = publishFrame(o.frame[:0], o.topic(0), o.published, o.Payload)
	return o.clients[o.published%int64(o.Publishers)].send(o.frame)
}

// step publishes with a window, or at a rate if window is 0, and measures after a
// warm-up of a fifth of the duration.
func (o *fanout) step(ctx context.Context, name string, window int, rate float64) (Row, error) {
	o.show.set(name, func() string { return fmt.Sprintf("%d deliveries", o.deliveries.Load()) })
	o.windowed.Store(window > 0)
	for range window {
		o.tokens <- struct{}{}
	}
	next := o.atRate(rate)
	if window > 0 {
		next = o.withWindow
	}
	publishUntil := func(end time.Time) error {
		for time.Now().Before(end) {
			at, err := next(ctx)
			if err != nil {
				return err
			}
			if err := o.publish(at); err != nil {
				return err
			}
		}
		return nil
	}
	if err := publishUntil(time.Now().Add(o.Duration / 5)); err != nil {
		return Row{}, err
	}
	latency := &Histogram{}
	o.latency.Store(latency)
	before, selfBefore, began, count, bytesBefore := o.servers.usage(), self(), time.Now(), o.deliveries.Load(), o.fleet.bytesRead.Load()
	if err := publishUntil(began.Add(o.Duration)); err != nil {
		return Row{}, err
	}
	// Outstanding publishes belong to the step: a server that lags behind makes it
	// longer.
	what := fmt.Sprintf("every subscriber to get each publish (%s)", name)
	err := o.fleet.awaitAt(ctx, settle, time.Millisecond, what, func() bool { return o.completed.Load() == o.published })
	if err != nil {
		return Row{}, err
	}
	took, after, selfAfter := time.Since(began), o.servers.usage(), self()
	o.latency.Store(nil)
	for range window {
		<-o.tokens // all are returned
	}
	n := float64(o.deliveries.Load() - count)
	return Row{Step: name, Cells: []Cell{
		cell("server_cpu_us_per_delivery", "server CPU us/delivery", 2, known(micros(after.cpu-before.cpu)/n, before, after)),
		cell("deliveries_per_s", "deliveries/s", 0, n/took.Seconds()),
		cell("latency_p50_ms", "p50 ms", 2, millis(latency.Percentile(50))),
		cell("latency_p99_ms", "p99 ms", 2, millis(latency.Percentile(99))),
		cell("latency_max_ms", "max ms", 2, millis(latency.Percentile(100))),
		cell("deliveries", "deliveries", 0, n),
		cell("mib_received", "MiB", 1, mib(o.fleet.bytesRead.Load()-bytesBefore)),
		cell("server_peak_mib", "server peak MiB", 1, known(mib(after.peak), after)),
		cell("client_cpu_us_per_delivery", "client CPU us/delivery", 2, known(micros(selfAfter.cpu-selfBefore.cpu)/n, selfBefore, selfAfter)),
	}}, nil
}

// withWindow waits until one more publish may be outstanding.
func (o *fanout) withWindow(ctx context.Context) (time.Time, error) {
	timer := time.NewTimer(settle)
	defer timer.Stop()
	select {
	case <-o.tokens:
		return time.Now(), nil
	case <-o.fleet.failed:
		return time.Time{}, o.fleet.fault()
	case <-ctx.Done():
		return time.Time{}, context.Cause(ctx)
	case <-timer.C:
		return time.Time{}, fmt.Errorf("no publish reached every subscriber within %v", settle)
	}
}

// atRate returns a function that waits for the next time of a fixed schedule.
func (o *fanout) atRate(rate float64) func(context.Context) (time.Time, error) {
	began, i := time.Now(), 0
	return func(ctx context.Context) (time.Time, error) {
		at := began.Add(time.Duration(float64(i) / rate * float64(time.Second)))
		i++
		if o.published-o.completed.Load() >= ringSize {
			return time.Time{}, fmt.Errorf("the server does not keep up with %g publishes per second: %d are outstanding", rate, ringSize)
		}
		return at, o.fleet.sleepUntil(ctx, at)
	}
}
