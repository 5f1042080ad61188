package presence_test

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/presence"
	"github.com/rollcall-go/rollcall/transport/natsbus"
)

// BenchmarkChurn is a million presences on three replicas, each on a NATS server
// of its own, in one process: in 10,000 topics of 100 that all replicas watch. All
// join, as fast as it goes with 512 of them not yet seen by all. Then one operation
// is one leave and one join, of presences all over, on the replicas in turn: at a
// rate, by a schedule, or as fast as it goes with so many joins that not all have
// seen yet (window).
//
//	joins/s       joins, and as many leaves
//	p50-ms p99-ms from the call of Track (at a rate: from when it was due) to the
//	              watchers' handlers on the two other replicas
//	sent-B, received-B  on the connections of all replicas to their NATS servers, a
//	              change (a join and a leave are two), with NATS's protocol and
//	              everything else that the replicas say meanwhile
//	losses        how often a bus said that it may have lost messages, which has
//	              everything compared
func BenchmarkChurn(b *testing.B) {
	const presences, room = 1_000_000, 100
	c := newChurn(b, presences, room)
	b.Run("all join", func(b *testing.B) {
		c.fill(b)
		b.ReportMetric(c.filled, "joins/s")
		b.ReportMetric(0, "ns/op")
	})
	for _, rate := range []int{1000, 3000} {
		b.Run(fmt.Sprintf("joins/s=%d", rate), func(b *testing.B) { c.run(b, rate, 1<<30) })
	}
	for _, window := range []int64{1, 64} {
		b.Run(fmt.Sprintf("window=%d", window), func(b *testing.B) { c.run(b, 0, window) })
	}
}

// churn is the cluster. Who is present has a key that begins with the replica's
// number and, of those whose join is measured, ends with when it was due.
type churn struct {
	// static
	replicas []*churner
	topics   []string
	origin   time.Time

	presences, room int
	filled          float64 // joins a second until all were present; owned by the benchmark

	sent, received atomic.Int64 // bytes
	unseen         atomic.Int64 // joins times replicas that do not show them yet
	seen           chan struct{}
}

type churner struct {
	tracker *presence.Tracker

	// owned by the benchmark
	held []*presence.Session // one a presence
	next int

	mu      sync.Mutex
	samples []time.Duration
}

func newChurn(b *testing.B, presences, room int) *churn {
	c := &churn{presences: presences, room: room, origin: time.Now(), seen: make(chan struct{}, 1)}
	for i := range presences / room {
		c.topics = append(c.topics, fmt.Sprintf("room:%05d", i))
	}
	for i, s := range startCluster(b, 3) {
		nc, err := nats.Connect(s.ClientURL(), append(natsbus.Options(), nats.SetCustomDialer(countingDialer{c}))...)
		require.NoError(b, err)
		bus, err := natsbus.New(nc, natsbus.Config{})
		require.NoError(b, err)
		tracker, err := presence.Start(b.Context(), presence.Config{Name: strconv.Itoa(i), Bus: bus})
		require.NoError(b, err)
		b.Cleanup(func() {
			nc.Close() // first: no need to tell the others of everybody's leave
			require.NoError(b, tracker.Close(context.Background()))
			require.NoError(b, bus.Close())
		})
		c.replicas = append(c.replicas, &churner{tracker: tracker})
	}
	for i, r := range c.replicas {
		for len(r.tracker.Status().Replicas) < len(c.replicas)-1 {
			time.Sleep(10 * time.Millisecond) // there is no event to await
		}
		for _, topic := range c.topics {
			_, err := r.tracker.Watch(topic, func(e presence.Event) { c.saw(i, e.Diff.Joins) })
			require.NoError(b, err)
		}
	}
	c.complete(b)
	return c
}

// fill makes everybody present, once.
func (c *churn) fill(b *testing.B) {
	if c.filled > 0 {
		return
	}
	// Those of one replica come to a topic together: few deltas, and so many
	// outstanding that the buses lose none.
	began := time.Now()
	for n := range c.presences {
		i := n / (c.room / len(c.replicas)) % len(c.replicas)
		r := c.replicas[i]
		r.held = append(r.held, c.join(b, i, n/c.room, fmt.Sprintf("%d user %d", i, n)))
		c.awaitUnseen(b, 512)
	}
	c.awaitUnseen(b, 0)
	c.filled = float64(c.presences) / time.Since(began).Seconds()
	c.complete(b)
	total := 0
	for _, topic := range c.topics {
		total += len(c.replicas[0].tracker.Peek(topic).Presences)
	}
	require.Equal(b, c.presences, total)
}

// complete waits until every replica has complete lists.
func (c *churn) complete(b *testing.B) {
	for _, r := range c.replicas {
		for _, topic := range c.topics {
			_, err := r.tracker.List(b.Context(), topic)
			require.NoError(b, err)
		}
	}
}

// join makes somebody present on replica i.
func (c *churn) join(b *testing.B, i, topic int, key string) *presence.Session {
	c.unseen.Add(int64(len(c.replicas) - 1))
	session := c.replicas[i].tracker.NewSession()
	if _, err := session.Track(c.topics[topic], key, presentMeta); err != nil {
		b.Fatal(err)
	}
	return session
}

// presentMeta has 65 bytes.
var presentMeta = map[string]any{"color": "red", "name": "somebody", "status": "available", "n": 123456}

// saw is called by replica i's watchers, one at a time.
func (c *churn) saw(i int, joins []presence.Presence) {
	now := time.Since(c.origin)
	others := int64(0)
	for _, p := range joins {
		if p.Key[0] == byte('0'+i) {
			continue
		}
		others++
		if at, ok := strings.CutPrefix(p.Key[1:], " at "); ok {
			ns, _ := strconv.ParseInt(at, 10, 64)
			r := c.replicas[i]
			r.mu.Lock()
			r.samples = append(r.samples, now-time.Duration(ns))
			r.mu.Unlock()
		}
	}
	if others > 0 {
		c.unseen.Add(-others)
		select {
		case c.seen <- struct{}{}:
		default:
		}
	}
}

// awaitUnseen waits until at most so many joins are not seen everywhere.
func (c *churn) awaitUnseen(b *testing.B, most int64) {
	if c.unseen.Load() <= most*int64(len(c.replicas)-1) {
		return
	}
	limit := time.NewTimer(60 * time.Second)
	defer limit.Stop()
	for c.unseen.Load() > most*int64(len(c.replicas)-1) {
		select {
		case <-c.seen:
		case <-limit.C:
			for _, r := range c.replicas {
				b.Logf("%+v", r.tracker.Status())
			}
			b.Fatalf("%d joins are not seen", c.unseen.Load())
		}
	}
}

// run has joins, each with a leave, at a rate if that is not 0.
func (c *churn) run(b *testing.B, rate int, window int64) {
	c.fill(b)
	for _, r := range c.replicas {
		r.samples = nil
	}
	lost := c.lost()
	sent, received, began := c.sent.Load(), c.received.Load(), time.Now()
	n := 0
	for b.Loop() {
		c.awaitUnseen(b, window-1)
		at := time.Now()
		if rate > 0 {
			at = began.Add(time.Duration(n) * time.Second / time.Duration(rate))
			time.Sleep(time.Until(at))
		}
		i := n % len(c.replicas)
		r := c.replicas[i]
		// A stride that is prime to their number meets all before it meets one again:
		// nobody leaves whose join is not seen yet.
		r.next = (r.next + 7919) % len(r.held)
		r.held[r.next].Close()
		// Elsewhere: in a topic that is not quiet a change waits for the next flush.
		r.held[r.next] = c.join(b, i, n*7919%len(c.topics), fmt.Sprintf("%d at %d", i, at.Sub(c.origin).Nanoseconds()))
		n++
	}
	took := time.Since(began)
	c.awaitUnseen(b, 0)
	var samples []time.Duration
	for _, r := range c.replicas {
		samples = append(samples, r.samples...)
	}
	require.Len(b, samples, 2*n)
	slices.Sort(samples)
	ms := func(p int) float64 { return samples[(len(samples)-1)*p/100].Seconds() * 1000 }
	b.ReportMetric(float64(n)/took.Seconds(), "joins/s")
	b.ReportMetric(ms(50), "p50-ms")
	b.ReportMetric(ms(99), "p99-ms")
	changes := float64(2 * n)
	b.ReportMetric(float64(c.sent.Load()-sent)/changes, "sent-B")
	b.ReportMetric(float64(c.received.Load()-received)/changes, "received-B")
	b.ReportMetric(float64(c.lost()-lost), "losses")
	b.ReportMetric(0, "ns/op")
}

// lost is how often the buses said that they may have lost messages.
func (c *churn) lost() (n uint64) {
	for _, r := range c.replicas {
		n += r.tracker.Status().Stats.Lost
	}
	return n
}

// startCluster starts n NATS servers that have routes to each other.
func startCluster(b *testing.B, n int) []*server.Server {
	var servers []*server.Server
	var routes []*url.URL
	for i := range n {
		s, err := server.NewServer(&server.Options{
			ServerName: strconv.Itoa(i), Host: "127.0.0.1", Port: -1, NoSigs: true, NoLog: true,
			Cluster: server.ClusterOpts{Name: "bench", Host: "127.0.0.1", Port: -1}, Routes: routes,
		})
		require.NoError(b, err)
		s.Start()
		b.Cleanup(func() { stopNATS(s) })
		require.True(b, s.ReadyForConnections(10*time.Second))
		routes = append(routes, &url.URL{Scheme: "nats", Host: s.ClusterAddr().String()})
		servers = append(servers, s)
	}
	return servers
}

// countingDialer counts what the connections carry.
type countingDialer struct{ c *churn }

func (d countingDialer) Dial(network, address string) (net.Conn, error) {
	conn, err := net.Dial(network, address)
	return &countingConn{conn, d.c}, err
}

type countingConn struct {
	net.Conn
	c *churn
}

func (c *countingConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.c.received.Add(int64(n))
	return n, err
}

func (c *countingConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.c.sent.Add(int64(n))
	return n, err
}
