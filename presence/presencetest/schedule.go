package presencetest

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// Schedule runs one random schedule: three to five replicas, six topics, and
// steps random calls and faults with random pauses between them; the safety
// invariants are checked after each. Then all faults end, and after a virtual
// minute and a half everything must be right everywhere. The error names the
// seed and the step.
func Schedule(seed uint64, steps int) error {
	choose := rand.New(rand.NewPCG(seed, 1))
	names := []string{"eu", "us", "ap", "sa", "af"}[:3+choose.IntN(3)]
	topics := []string{"t1", "t2", "t3", "t4", "t5", "t6"}
	if choose.IntN(3) == 0 { // a rolling upgrade that has begun
		names[choose.IntN(len(names))] += "@1"
	}
	c := New(seed, names...)
	for i, h := range c.hosts {
		names[i] = h.name
	}
	fail := func(step int, err error) error {
		return fmt.Errorf("seed %d, step %d of %d, at %v: %w", seed, step, steps, c.now().Format("04:05.000"), err)
	}
	for step := range steps {
		name := names[choose.IntN(len(names))]
		if !c.host(name).running && choose.IntN(3) > 0 {
			if choose.IntN(2) == 0 {
				c.Upgrade(name)
			}
			c.Restart(name, time.Duration(choose.IntN(3)-1)*time.Hour)
		}
		if h := c.host(name); h.running && !h.paused {
			c.act(choose, name, topics[choose.IntN(len(topics))])
		}
		c.disturb(choose, name, names[choose.IntN(len(names))])
		pause := []time.Duration{0, time.Millisecond, 20 * time.Millisecond, 300 * time.Millisecond, 2 * time.Second, 9 * time.Second}
		c.Advance(pause[choose.IntN(len(pause))])
		if err := c.Check(); err != nil {
			return fail(step, err)
		}
	}
	c.Heal()
	for range 9 {
		c.Advance(10 * time.Second)
		if err := c.Check(); err != nil {
			return fail(steps, err)
		}
	}
	if err := c.CheckLive(); err != nil {
		return fail(steps, err)
	}
	if err := c.CheckQuiet(); err != nil {
		return fail(steps, err)
	}
	return nil
}

// act is something that a user of the replica does.
func (c *Cluster) act(choose *rand.Rand, name, topic string) {
	switch choose.IntN(8) {
	case 0, 1, 2:
		c.Track(name, topic, fmt.Sprintf("u%d", choose.IntN(5)))
	case 3:
		c.Update(name, choose.IntN(8))
	case 4, 5:
		c.Untrack(name, choose.IntN(8))
	case 6:
		c.Watch(name, topic)
	case 7:
		c.Unwatch(name, topic)
	}
}

// disturb is something that happens to the cluster, now and then.
func (c *Cluster) disturb(choose *rand.Rand, name, other string) {
	h := c.host(name)
	switch choose.IntN(24) {
	case 0:
		c.SetFaults(Faults{})
	case 1:
		c.SetFaults(Faults{Loss: 0.3})
	case 2:
		c.SetFaults(Faults{Loss: 0.1, Repeat: 0.2, Delay: 400 * time.Millisecond, Reorder: true})
	case 3:
		c.SetFaults(Faults{Repeat: 0.1, Delay: 4 * time.Second, Reorder: true})
	case 4:
		c.Cut(name, other, true)
	case 5, 6:
		c.Cut(name, other, false)
	case 7:
		if h.running {
			c.Pause(name)
		}
	case 8, 9:
		if h.running && h.paused {
			c.Resume(name)
		}
	case 10:
		c.Outage(name)
	case 11, 12:
		c.Reconnect(name)
	case 13:
		c.Kill(name)
	case 14:
		if !h.paused {
			c.Leave(name)
		}
	}
}
