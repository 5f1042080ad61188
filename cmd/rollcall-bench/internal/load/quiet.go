package load

import (
	"context"
	"fmt"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

const (
	quietClients = 4
	// quietRate is publishes per second: enough to see a stall of about 20 ms, too
	// few to be a load.
	quietRate = 50.0
	// quietBefore is the time measured before the load, for comparison.
	quietBefore = 2 * time.Second
)

// quietRoom is a room beside the load: a few clients, one of which publishes at a
// low rate on a fixed schedule. Latency is measured from the time a publish was due,
// and belongs to the step of that time.
type quietRoom struct {
	// Static.
	fleet  *fleet
	origin time.Time // when publish 1 was due
	stop   context.CancelFunc
	ended  sync.WaitGroup

	published, delivered atomic.Int64

	mu    sync.Mutex
	steps []*quietStep
}

// quietStep is the measurement of one step.
type quietStep struct {
	name    string
	from    time.Time
	latency Histogram
}

// openQuietRoom joins the clients to topic and starts publishing. The caller must
// close the room.
func openQuietRoom(ctx context.Context, target *url.URL, topic string) (*quietRoom, error) {
	q := &quietRoom{}
	q.fleet = newFleet(q.handle)
	clients, err := q.fleet.connect(ctx, 0, quietClients, target, func(c *client) error {
		return c.join(joinFrame(topic, c.id, 1))
	})
	if err == nil {
		err = q.fleet.await(ctx, settle, "the quiet room to join", func() bool { return q.fleet.joins.Load() == quietClients })
	}
	if err != nil {
		q.fleet.close()
		return nil, err
	}
	publishing, stop := context.WithCancel(ctx)
	q.stop, q.origin = stop, time.Now()
	q.ended.Go(func() { q.publish(publishing, clients[0], topic) })
	return q, nil
}

// due returns the time at which publish seq is due. Numbers begin at 1.
func (q *quietRoom) due(seq int64) time.Time {
	return q.origin.Add(time.Duration(float64(seq-1) / quietRate * float64(time.Second)))
}

func (q *quietRoom) publish(ctx context.Context, c *client, topic string) {
	var frame []byte
	for seq := int64(1); ; seq++ {
		if err := q.fleet.sleepUntil(ctx, q.due(seq)); err != nil {
			return // closed, or the fleet has failed
		}
		q.published.Store(seq)
		frame = publishFrame(frame[:0], topic, seq, minPayload)
		if err := c.send(frame); err != nil {
			q.fleet.fail(err)
			return
		}
	}
}

// handle records a delivery.
func (q *quietRoom) handle(c *client, m frame) error {
	seq, before, err := c.delivered(m, 1)
	if seq == 0 || err != nil {
		return err
	}
	if seq != before+1 {
		return fmt.Errorf("quiet room: delivery %d came after %d", seq, before)
	}
	due := q.due(seq)
	latency := time.Since(due)
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := len(q.steps) - 1; i >= 0; i-- {
		if i == 0 || !due.Before(q.steps[i].from) {
			q.steps[i].latency.Record(latency)
			break
		}
	}
	q.delivered.Add(1)
	return nil
}

// during begins a step at a given time.
func (q *quietRoom) during(name string, from time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.steps = append(q.steps, &quietStep{name: name, from: from})
}

// figures stops publishing, waits for all deliveries, and returns the figures of
// each step.
func (q *quietRoom) figures(ctx context.Context) ([]quietFigures, error) {
	q.stop()
	q.ended.Wait()
	all := q.published.Load() * quietClients
	err := q.fleet.await(ctx, settle, "the quiet room to receive every publish", func() bool { return q.delivered.Load() >= all })
	if err != nil {
		return nil, err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	var told []quietFigures
	for _, s := range q.steps {
		told = append(told, quietFigures{s.name, s.latency.Percentile(50), s.latency.Percentile(99), s.latency.Percentile(100), s.latency.Count()})
	}
	return told, nil
}

// close ends the room. It may be called after figures.
func (q *quietRoom) close() {
	q.stop()
	q.ended.Wait()
	q.fleet.close()
}
