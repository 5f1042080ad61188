//go:build unix

package soak

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// cluster is three NATS servers and a replica on each.
type cluster struct {
	life     *testing.T // all of it ends with this test
	parts    [3]part    // of the servers
	servers  [3]*process
	routes   map[[2]int]*proxy // from, to
	replicas [3]*replica
	beat     time.Duration
}

var names = [3]string{"eu", "us", "ap"}

// everybody is who is in the room when all is well.
const everybody = "alice@eu bob@ap bob@eu bob@us carol@ap carol@us"

// start starts all of it and waits until all is well.
func start(t *testing.T, beat time.Duration) *cluster {
	t.Helper()
	c := &cluster{life: t, routes: map[[2]int]*proxy{}, beat: beat}
	for i := range c.parts {
		c.parts[i] = part{Server: fmt.Sprintf("nats%d", i), Client: freePort(t), Cluster: freePort(t)}
	}
	for i := range c.parts {
		for j := i + 1; j < 3; j++ {
			p := newProxy(t, c.parts[j].Cluster)
			c.routes[[2]int{i, j}] = p
			c.parts[i].Routes = append(c.parts[i].Routes, p.port)
		}
	}
	for i := range c.parts {
		c.servers[i] = spawn(t, c.life, c.parts[i])
	}
	for i := range c.replicas {
		c.startReplica(t, i, 0)
	}
	c.settle(t)
	return c
}

// startReplica starts replica i with its presences.
func (c *cluster) startReplica(t *testing.T, i, queue int) {
	t.Helper()
	p := part{Replica: names[i], URL: fmt.Sprintf("nats://127.0.0.1:%d", c.parts[i].Client), Beat: c.beat, Queue: queue}
	r := startReplica(t, c.life, p)
	c.replicas[i] = r
	r.do(t, "watch room")
	r.do(t, "track room bob@%s", names[i])
	if i == 0 {
		r.do(t, "track room alice@eu")
	} else {
		r.do(t, "track room carol@%s", names[i])
	}
}

// settle waits until all is well: all replicas list the same, nobody is listed
// who is not there, and the diffs that watchers were told make the lists.
func (c *cluster) settle(t *testing.T) {
	t.Helper()
	for _, r := range c.replicas {
		r.awaitKeys(t, "room", everybody)
	}
	c.check(t)
	refs := c.replicas[0].refs("room")
	for _, r := range c.replicas[1:] {
		require.Equal(t, refs, r.refs("room"), "%s and %s list the same", c.replicas[0].name, r.name)
	}
}

// check compares what watchers made of their diffs with the lists.
func (c *cluster) check(t *testing.T) {
	t.Helper()
	for _, r := range c.replicas {
		r.ask(t, "refresh")
		r.mu.Lock()
		err := r.fault
		r.mu.Unlock()
		require.NoError(t, err)
	}
}

// forget forgets who has left so far.
func (c *cluster) forget() {
	for _, r := range c.replicas {
		r.left()
	}
}

// nobodyLeft requires that no watcher was told of a leave since forget.
func (c *cluster) nobodyLeft(t *testing.T) {
	t.Helper()
	for _, r := range c.replicas {
		require.Empty(t, r.left(), "who left, as %s says", r.name)
	}
}

// With the periods that are the default.
func TestWhatHappensToRealPartsWithDefaultPeriods(t *testing.T) {
	c := start(t, 0)
	eu, us := c.replicas[0], c.replicas[1]

	step := func(name string, f func(t *testing.T)) {
		t.Run(name, func(t *testing.T) {
			c.forget()
			f(t)
			c.settle(t)
		})
		if t.Failed() {
			t.FailNow() // what comes next would begin amid that
		}
	}

	step("a replica is killed", func(t *testing.T) {
		c.replicas[2].kill()
		killed := time.Now()
		for _, r := range c.replicas[:2] {
			r.awaitKeys(t, "room", "alice@eu bob@eu bob@us carol@us")
		}
		gone := time.Since(killed)
		t.Logf("gone after %v", gone.Round(time.Millisecond))
		require.Less(t, gone, 3*time.Second)
		require.Equal(t, "bob@ap carol@ap", eu.left())
		c.startReplica(t, 2, 0)
	})

	step("a NATS server is killed and started again", func(t *testing.T) {
		c.servers[0].kill()
		us.do(t, "track room dave")
		eu.do(t, "track room erin")
		c.servers[0] = spawn(t, c.life, c.parts[0])
		for _, r := range c.replicas {
			r.awaitKeys(t, "room", "alice@eu bob@ap bob@eu bob@us carol@ap carol@us dave erin")
		}
		c.nobodyLeft(t)
		us.do(t, "untrack room dave")
		eu.do(t, "untrack room erin")
	})

	step("a NATS server is away for longer than DownPeriod", func(t *testing.T) {
		c.servers[0].kill()
		us.awaitKeys(t, "room", "bob@ap bob@us carol@ap carol@us")
		<-time.After(10 * time.Second) // all of DownPeriod, in which eu hears nobody
		eu.awaitKeys(t, "room", everybody)
		require.Empty(t, eu.left(), "who is cut off itself gives nobody up")
		c.servers[0] = spawn(t, c.life, c.parts[0])
	})

	step("a replica is stopped past DownPeriod", func(t *testing.T) {
		us.signal(t, syscall.SIGSTOP)
		stopped := time.Now()
		eu.do(t, "track room dave")
		eu.awaitKeys(t, "room", "alice@eu bob@ap bob@eu carol@ap dave")
		require.Greater(t, time.Since(stopped), 8*time.Second, "that nothing answers proves nothing before DownPeriod")
		us.signal(t, syscall.SIGCONT)
		us.awaitKeys(t, "room", "alice@eu bob@ap bob@eu bob@us carol@ap carol@us dave")
		require.Empty(t, us.left(), "who was stopped does not take the others for dead")
		eu.do(t, "untrack room dave")
	})

	step("servers are cut off from each other", func(t *testing.T) {
		c.routes[[2]int{0, 1}].cut()
		c.routes[[2]int{0, 2}].cut()
		eu.awaitKeys(t, "room", "alice@eu bob@eu")
		us.awaitKeys(t, "room", "bob@ap bob@us carol@ap carol@us")
		us.do(t, "track room dave")
		eu.do(t, "track room erin")
		eu.awaitKeys(t, "room", "alice@eu bob@eu erin")
		us.awaitKeys(t, "room", "bob@ap bob@us carol@ap carol@us dave")
		<-time.After(6 * time.Second) // the tips are sent, too: nothing is left to tell of these changes
		c.routes[[2]int{0, 1}].mend(t)
		c.routes[[2]int{0, 2}].mend(t)
		for _, r := range c.replicas {
			r.awaitKeys(t, "room", "alice@eu bob@ap bob@eu bob@us carol@ap carol@us dave erin")
		}
		us.do(t, "untrack room dave")
		eu.do(t, "untrack room erin")
	})

	step("two of three servers do not reach each other", func(t *testing.T) {
		c.routes[[2]int{0, 1}].cut()
		eu.awaitKeys(t, "room", "alice@eu bob@ap bob@eu carol@ap")
		us.awaitKeys(t, "room", "bob@ap bob@us carol@ap carol@us")
		require.Empty(t, c.replicas[2].left(), "the third hears both")
		c.routes[[2]int{0, 1}].mend(t)
	})

	step("the network swallows everything between servers for some seconds", func(t *testing.T) {
		for _, route := range []*proxy{c.routes[[2]int{0, 1}], c.routes[[2]int{0, 2}]} {
			route.stall()
		}
		us.do(t, "track room dave")
		eu.do(t, "track room erin")
		<-time.After(4 * time.Second) // four heartbeats are missing, and probes find nobody
		eu.awaitKeys(t, "room", everybody+" erin")
		us.awaitKeys(t, "room", everybody+" dave")
		c.nobodyLeft(t)
		for _, route := range []*proxy{c.routes[[2]int{0, 1}], c.routes[[2]int{0, 2}]} {
			route.resume()
		}
		for _, r := range c.replicas {
			r.awaitKeys(t, "room", everybody+" dave erin")
		}
		c.nobodyLeft(t)
		us.do(t, "untrack room dave")
		eu.do(t, "untrack room erin")
	})

	step("the network swallows everything past DownPeriod", func(t *testing.T) {
		for _, route := range []*proxy{c.routes[[2]int{0, 1}], c.routes[[2]int{0, 2}]} {
			route.stall()
		}
		us.do(t, "track room dave")
		eu.awaitKeys(t, "room", "alice@eu bob@eu")
		us.awaitKeys(t, "room", "bob@ap bob@us carol@ap carol@us dave")
		for _, route := range []*proxy{c.routes[[2]int{0, 1}], c.routes[[2]int{0, 2}]} {
			route.resume()
		}
		// What was sent meanwhile comes late, and all of it.
		for _, r := range c.replicas {
			r.awaitKeys(t, "room", everybody+" dave")
		}
		require.Equal(t, "alice@eu bob@eu", us.left(), "just once")
		us.do(t, "untrack room dave")
	})

	step("every replica is replaced", func(t *testing.T) {
		for i := range c.replicas {
			c.replace(t, i)
			c.settle(t) // its former presences are not among them
		}
	})
}

// replace has replica i say goodbye, and starts another one of its name.
func (c *cluster) replace(t *testing.T, i int) {
	t.Helper()
	gone := c.replicas[i]
	var went []string
	for key := range strings.FieldsSeq(everybody) {
		if strings.HasSuffix(key, gone.name) {
			went = append(went, key)
		}
	}
	c.forget()
	gone.do(t, "close")
	require.NoError(t, gone.cmd.Wait())
	for j, r := range c.replicas {
		if j == i {
			continue
		}
		r.await(t, func() bool { return len(r.leaves) >= len(went) }, func() string { return "nobody left" })
		require.Equal(t, strings.Join(went, " "), r.left(), "just these, and each of them once")
		require.NotContains(t, r.ask(t, "members").Members, gone.name, "it said goodbye: it is not awaited, as one that fell silent is")
	}
	c.startReplica(t, i, 0)
}

// A replica that cannot keep up loses messages, and is told. It loses so much that
// there are rooms of which nothing is left that would tell of a change.
func TestASlowConsumerLosesNothingInTheEnd(t *testing.T) {
	c := start(t, 0)
	eu, slow := c.replicas[0], c.replicas[1]
	slow.kill()
	c.startReplica(t, 1, 2_000)
	slow = c.replicas[1]
	c.settle(t)
	c.forget()
	const topics = 300
	for i := range topics {
		slow.do(t, "watch room%d", i)
	}
	slow.awaitKeys(t, fmt.Sprint("room", topics-1), "")
	<-time.After(2 * time.Second) // it has asked for the second time, as for every new topic
	before := slow.ask(t, "lost")
	slow.signal(t, syscall.SIGSTOP)
	for i := range topics {
		eu.do(t, "track room%d user", i)
	}
	eu.ask(t, "members")          // eu has come so far
	<-time.After(6 * time.Second) // its tips are sent, too; DownPeriod is longer
	slow.signal(t, syscall.SIGCONT)
	for i := range topics {
		slow.awaitKeys(t, fmt.Sprint("room", i), "user")
	}
	after := slow.ask(t, "lost")
	// Of each room there were a delta and two tips: of one of them, at least, nothing
	// has come through.
	require.Greater(t, after.Dropped-before.Dropped, uint64(2*topics), "the queue overflowed")
	require.Greater(t, after.Lost, before.Lost, "and the replica was told")
	c.settle(t)
	c.nobodyLeft(t)
}

// With periods of a quarter, so that permdown is three seconds away.
func TestAReplicaThatIsStoppedPastPermdownComesBack(t *testing.T) {
	c := start(t, 250*time.Millisecond)
	us := c.replicas[1]
	us.signal(t, syscall.SIGSTOP)
	for _, i := range []int{0, 2} {
		c.replicas[i].awaitKeys(t, "room", "alice@eu bob@ap bob@eu carol@ap")
	}
	deadline := time.Now().Add(*waitLimit)
	for known := true; known; {
		require.True(t, time.Now().Before(deadline), "us is forgotten")
		_, known = c.replicas[0].ask(t, "members").Members["us"]
	}
	c.forget()
	us.signal(t, syscall.SIGCONT)
	c.settle(t)
	require.Empty(t, us.left(), "who was stopped does not take the others for dead")
}
