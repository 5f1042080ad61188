package netpoll

import (
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// A reader is a connection in a Poller.
type reader struct {
	Waiter
	ready chan struct{} // gets one for each call of Ready
}

func (r *reader) Ready() { r.ready <- struct{}{} }

func newReader(c Conn) *reader {
	r := &reader{ready: make(chan struct{}, 2)}
	r.Init(c, r)
	return r
}

func (r *reader) await(t *testing.T) {
	t.Helper()
	select {
	case <-r.ready:
	case <-time.After(20 * time.Second):
		require.Fail(t, "timed out")
	}
	require.Empty(t, r.ready)
}

// read reads what is there.
func (r *reader) read(t *testing.T) string {
	t.Helper()
	var got []byte
	buf := make([]byte, 10)
	for {
		n, err := r.Conn.TryRead(buf)
		require.NoError(t, err)
		got = append(got, buf[:n]...)
		if n == 0 {
			return string(got)
		}
	}
}

func newPoller(t *testing.T, timeout time.Duration) *Poller {
	var group sync.WaitGroup
	p := NewPoller(timeout, &group)
	t.Cleanup(func() {
		p.Close()
		group.Wait()
	})
	return p
}

// leave ends a connection, so that nothing waits for it.
func leave(t *testing.T, p *Poller, r *reader) {
	r.Conn.Abort()
	p.Rouse(&r.Waiter)
	r.await(t)
	p.Leave(&r.Waiter)
}

func TestAParkedConnectionIsReadyWhenThereIsInput(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		p := newPoller(t, time.Minute)
		c, client, _ := k.connect(t)
		r := newReader(c)
		for _, said := range []string{"a", "much more than a little", "b"} {
			require.Empty(t, r.read(t))
			require.True(t, p.Park(&r.Waiter))
			require.Equal(t, 1, p.Parked())
			require.WithinDuration(t, time.Now(), r.Since(), 10*time.Second)
			require.Equal(t, k.polled(), !r.attended)
			_, err := client.Write([]byte(said))
			require.NoError(t, err)
			r.await(t)
			require.Zero(t, p.Parked())
			require.Equal(t, said, r.read(t))
		}
		require.True(t, p.Park(&r.Waiter))
		leave(t, p, r)
	})
}

// A record of which a part has arrived does not hold a goroutine up.
func TestAConnectionWithPartOfARecordIsParked(t *testing.T) {
	k := kind{secure: true}
	p := newPoller(t, time.Minute)
	c, client, below := k.connect(t)
	r := newReader(c)
	if !k.polled() {
		return
	}
	for range 3 {
		require.True(t, p.Park(&r.Waiter))
		below.holding, below.back = true, nil
		_, err := client.Write([]byte("a record"))
		require.NoError(t, err)
		r.await(t)
		require.Empty(t, r.read(t))
		require.True(t, p.Park(&r.Waiter))
		require.Empty(t, r.ready)
		below.release(t)
		r.await(t)
		require.Equal(t, "a record", r.read(t))
	}
	require.True(t, p.Park(&r.Waiter))
	leave(t, p, r)
}

// What a connection holds back is found before it is parked.
func TestRecordsThatArriveTogetherAreAllRead(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		p := newPoller(t, time.Minute)
		c, client, below := k.connect(t)
		r := newReader(c)
		require.Empty(t, r.read(t))
		require.True(t, p.Park(&r.Waiter))
		together := &gathered{Conn: below.Conn}
		below.Conn = together
		for _, part := range []string{"one ", "two ", "three"} {
			_, err := client.Write([]byte(part))
			require.NoError(t, err)
		}
		_, err := together.Conn.Write(together.all)
		require.NoError(t, err)
		r.await(t)
		got := r.read(t)
		for got != "one two three" {
			require.True(t, p.Park(&r.Waiter))
			r.await(t)
			got += r.read(t)
		}
		require.True(t, p.Park(&r.Waiter))
		leave(t, p, r)
	})
}

// A gathered connection keeps what is written.
type gathered struct {
	net.Conn
	all []byte
}

func (g *gathered) Write(p []byte) (int, error) {
	g.all = append(g.all, p...)
	return len(p), nil
}

func TestARousedConnectionIsNotParked(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		p := newPoller(t, time.Minute)
		c, _, _ := k.connect(t)
		r := newReader(c)
		require.True(t, p.Park(&r.Waiter))
		p.Rouse(&r.Waiter)
		r.await(t)
		require.Zero(t, p.Parked())
		require.False(t, p.Park(&r.Waiter))
		p.Rouse(&r.Waiter)
		require.Empty(t, r.ready, "it is not parked")
		p.Leave(&r.Waiter)
	})
}

func TestASilentConnectionIsReadyAtTheTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var group sync.WaitGroup
		p := NewPoller(time.Minute, &group)
		began := time.Now()
		var readers []*reader
		for range 3 {
			near, far := net.Pipe()
			defer far.Close()
			r := newReader(New(near))
			require.True(t, p.Park(&r.Waiter))
			readers = append(readers, r)
			time.Sleep(time.Second)
		}
		for i, r := range readers {
			<-r.ready
			require.Equal(t, time.Minute+time.Duration(i)*time.Second, time.Since(began))
			n, err := r.Conn.TryRead(make([]byte, 1))
			require.NoError(t, err)
			require.Zero(t, n)
			r.Conn.Abort()
		}
		require.Zero(t, p.Parked())
		p.Close()
		group.Wait()
	})
}

// The goroutine ends with the last connection, and comes back with the next.
func TestAPollerOpensAndCloses(t *testing.T) {
	var group sync.WaitGroup
	p := NewPoller(time.Minute, &group)
	for range 3 {
		readers := make([]*reader, 5)
		for i := range readers {
			c, _, _ := kind{}.connect(t)
			readers[i] = newReader(c)
			require.True(t, p.Park(&readers[i].Waiter))
		}
		places := len(p.places)
		leave(t, p, readers[1])
		c, _, _ := kind{}.connect(t)
		readers[1] = newReader(c)
		require.True(t, p.Park(&readers[1].Waiter))
		require.Len(t, p.places, places, "a place is used again")
		for _, r := range readers {
			leave(t, p, r)
		}
		p.Close()
		group.Wait()
		require.Nil(t, p.poll)
	}
}

// An event may be about a connection that had the place before.
func TestAnEventOfAnotherTimeIsNoInput(t *testing.T) {
	k := kind{}
	if !k.polled() {
		return
	}
	p := newPoller(t, time.Minute)
	c, client, _ := k.connect(t)
	r := newReader(c)
	for range 10 {
		require.True(t, p.Park(&r.Waiter))
		p.heard(r.number)
		p.heard(r.number)
		p.heard(r.number + 1) // no connection has it
		r.await(t)
		require.Empty(t, r.read(t))
	}
	require.True(t, p.Park(&r.Waiter))
	_, err := client.Write([]byte("here"))
	require.NoError(t, err)
	r.await(t)
	require.Equal(t, "here", r.read(t))
	p.Leave(&r.Waiter)
}

// Where a poll cannot be had, or fails, goroutines wait.
func TestWithoutAPollGoroutinesWait(t *testing.T) {
	for _, k := range []kind{{name: "plain"}, {name: "TLS", secure: true}} {
		t.Run(k.name, func(t *testing.T) {
			p := newPoller(t, time.Minute)
			c, client, _ := k.connect(t)
			r := newReader(c)
			require.Empty(t, r.read(t))
			require.True(t, p.Park(&r.Waiter))
			if k.polled() {
				p.mu.Lock()
				poll := p.poll
				p.mu.Unlock()
				p.fail(poll)
				r.await(t)
				require.Empty(t, r.read(t))
				require.True(t, p.Park(&r.Waiter))
			}
			require.True(t, r.attended)
			_, err := client.Write([]byte("here"))
			require.NoError(t, err)
			r.await(t)
			require.Equal(t, "here", r.read(t))
			require.True(t, p.Park(&r.Waiter))
			leave(t, p, r)
		})
	}
}

// A process that was stopped, or a machine that slept, has not listened: a peer that
// seems to have been silent meanwhile gets time to be heard.
func TestAStallIsNotSilence(t *testing.T) {
	p := newPoller(t, time.Minute)
	c, _, _ := kind{}.connect(t)
	r := newReader(c)
	require.True(t, p.Park(&r.Waiter))
	now := time.Now()
	p.mu.Lock()
	r.since, p.alarm = now.Add(-2*p.timeout), now.Add(-p.timeout)
	p.mu.Unlock()
	p.silence(now)
	require.Equal(t, 1, p.Parked())
	require.Equal(t, now.Add(StallGrace), p.alarm)
	p.silence(now.Add(StallGrace - time.Millisecond))
	require.Equal(t, 1, p.Parked())
	p.silence(now.Add(StallGrace))
	require.Zero(t, p.Parked())
	r.await(t)
	require.Equal(t, p.timeout, now.Add(StallGrace).Sub(r.Since()))
	p.Leave(&r.Waiter)
}
