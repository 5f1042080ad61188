package websocket

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	gorilla "github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/channel/wire"
)

// A place cools down only while another newcomer waits for it.
func TestThePlaceOfANewcomerCoolsDownWhileOthersWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNewcomers(new(sync.WaitGroup))
		n.most = 1
		first, second := &conn{}, &conn{}
		n.active = 1
		n.enter(first)
		n.enter(second)
		began := time.Now()
		require.Same(t, first, n.next(2*time.Millisecond))
		require.Equal(t, 6*time.Millisecond, time.Since(began))
		require.Same(t, second, n.next(time.Hour))
		require.Equal(t, 26*time.Millisecond, time.Since(began))
		require.Nil(t, n.next(time.Hour))
		require.Equal(t, 26*time.Millisecond, time.Since(began), "nothing waits")
		require.Zero(t, n.active)
	})
}

// counts returns how many connections are in line, and in a place.
func (n *newcomers) counts() (waiting, active int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.line.Len(), n.active
}

// A crowd is clients of a transport that reads few newcomers at a time. What they say
// comes to heard; a message that begins with "newcomer" is dealt with once something
// was put into deal.
type crowd struct {
	*testing.T
	transport *Transport
	heard     chan string
	deal      chan struct{}
	dial      func() *gorilla.Conn
}

func newCrowd(t *testing.T, k kind, most int) *crowd {
	c := &crowd{T: t, heard: make(chan string, 100), deal: make(chan struct{})}
	transport, server := k.serve(t, Config{CloseTimeout: 100 * time.Millisecond}, func(context.Context, wire.ConnectInfo) (channelConn, error) {
		s := newFake()
		s.receive = func(_ bool, data []byte) *wire.Close {
			c.heard <- string(data)
			if strings.HasPrefix(string(data), "newcomer") {
				<-c.deal
			}
			return nil
		}
		return s, nil
	})
	t.Cleanup(func() { close(c.deal) }) // before the transport is closed
	c.transport, transport.newcomers.most = transport, most
	c.dial = func() *gorilla.Conn { return dial(t, server, nil) }
	return c
}

func (c *crowd) say(client *gorilla.Conn, what string) {
	require.NoError(c, client.WriteMessage(gorilla.TextMessage, []byte(what)))
}

func (c *crowd) awaitLine(n int) {
	require.Eventually(c, func() bool {
		waiting, _ := c.transport.newcomers.counts()
		return waiting == n
	}, 10*time.Second, time.Millisecond)
}

func (c *crowd) hears(want string) {
	c.Helper()
	select {
	case got := <-c.heard:
		require.Equal(c, want, got)
	case <-time.After(20 * time.Second):
		require.Fail(c, "timed out", "waiting for %q", want)
	}
}

// comes has n newcomers come, of which the first most are heard at once. The others
// are in line in the order of their numbers.
func (c *crowd) comes(n, most int) {
	for i := range n {
		what := fmt.Sprint("newcomer ", i)
		c.say(c.dial(), what)
		if i < most {
			c.hears(what)
		} else {
			c.awaitLine(i - most + 1)
		}
	}
}

func TestNewcomersAreReadInTheOrderOfComingAFewAtATime(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		for _, most := range []int{1, 3} {
			t.Run(fmt.Sprint(most, " at a time"), func(t *testing.T) {
				c := newCrowd(t, k, most)
				c.comes(8, most)
				for i := most; i < 8; i++ {
					require.Empty(t, c.heard)
					c.deal <- struct{}{}
					c.hears(fmt.Sprint("newcomer ", i))
				}
				for range most {
					c.deal <- struct{}{}
				}
				require.Eventually(t, func() bool {
					waiting, active := c.transport.newcomers.counts()
					return waiting+active == 0
				}, 10*time.Second, time.Millisecond)
			})
		}
	})
}

// A connection that was heard before is read at once, however many newcomers wait.
func TestKnownConnectionsPassTheLineOfNewcomers(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		c := newCrowd(t, k, 1)
		known := c.dial()
		c.say(known, "I am in")
		c.hears("I am in")
		awaitParked(t, c.transport, 1)
		c.comes(4, 1)
		for range 3 {
			c.say(known, "still in")
			c.hears("still in")
		}
		c.awaitLine(3)
	})
}

// A newcomer cannot hold a place by sending slowly.
func TestHalfAMessageGivesThePlaceBack(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		c := newCrowd(t, k, 1)
		slow := c.dial()
		frame := rawFrame(0x81, []byte("at last"))
		_, err := slow.NetConn().Write(frame[:7])
		require.NoError(t, err)
		for range 3 {
			c.say(c.dial(), "another")
			c.hears("another")
		}
		_, err = slow.NetConn().Write(frame[7:])
		require.NoError(t, err)
		c.hears("at last")
	})
}

func TestANewcomerThatGoesWithoutAWordGivesThePlaceBack(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		c := newCrowd(t, k, 1)
		for range 3 {
			client := c.dial()
			awaitParked(t, c.transport, 1)
			require.NoError(t, client.NetConn().Close())
			require.Eventually(t, func() bool { return c.transport.Stats().Connections == 0 }, 10*time.Second, time.Millisecond)
		}
		c.say(c.dial(), "another")
		c.hears("another")
	})
}

// Close ends the connections that are in line, too.
func TestCloseEndsTheLineOfNewcomers(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		c := newCrowd(t, k, 1)
		c.comes(4, 1)
		closed := make(chan struct{})
		go func() {
			defer close(closed)
			closeTransport(t, c.transport)
		}()
		<-c.transport.done
		c.deal <- struct{}{} // to the one that is read; the others are closing, and not handled
		await(t, closed, "Close")
		require.Empty(t, c.heard)
		waiting, active := c.transport.newcomers.counts()
		require.Zero(t, waiting+active)
	})
}
