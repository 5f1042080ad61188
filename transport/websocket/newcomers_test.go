package websocket

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	gorilla "github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/channel"
)

func TestNewcomersHaveTheirTurnInTheOrderOfComing(t *testing.T) {
	n := newNewcomers()
	n.most = 2
	var c [6]conn
	require.True(t, n.enter(&c[0]))
	require.True(t, n.enter(&c[1]))
	for i := 2; i < 6; i++ {
		require.False(t, n.enter(&c[i]))
	}
	for i := range 4 {
		require.Same(t, &c[i+2], n.leave(&c[i], true))
		require.Nil(t, n.leave(&c[i], true), "its turn is over")
		require.True(t, n.enter(&c[i]), "who has been heard does not wait")
	}
	require.Nil(t, n.leave(&c[4], true))
	require.Nil(t, n.leave(&c[5], false))
	require.Zero(t, n.turns)
	require.Nil(t, n.first)
	require.Nil(t, n.last)
	require.True(t, n.enter(&c[5]), "it was not heard, and has another turn")
	require.Equal(t, 1, n.turns)
}

// linedUp is how many connections are in line.
func (n *newcomers) linedUp() (count int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for c := n.first; c != nil; c = c.behind {
		count++
	}
	return count
}

// A crowd is clients of a transport that reads one newcomer at a time. What they
// say comes to heard; what begins with "newcomer" is dealt with once something was
// put into deal.
type crowd struct {
	*testing.T
	transport *Transport
	heard     chan string
	deal      chan struct{}
	dial      func() *gorilla.Conn
}

func newCrowd(t *testing.T) *crowd {
	c := &crowd{T: t, heard: make(chan string, 100), deal: make(chan struct{})}
	transport, server := serveLoopback(t, Options{CloseTimeout: 100 * time.Millisecond}, func(context.Context, channel.ConnectInfo) (session, error) {
		s := newSession()
		s.receive = func(_ bool, data []byte) *channel.CloseError {
			c.heard <- string(data)
			if strings.HasPrefix(string(data), "newcomer") {
				<-c.deal
			}
			return nil
		}
		return s, nil
	})
	t.Cleanup(func() { close(c.deal) }) // before the transport is closed
	c.transport, transport.newcomers.most = transport, 1
	c.dial = func() *gorilla.Conn { return dial(t, server, nil) }
	return c
}

func (c *crowd) say(client *gorilla.Conn, what string) {
	require.NoError(c, client.WriteMessage(gorilla.TextMessage, []byte(what)))
}

func (c *crowd) awaitLine(n int) {
	require.Eventually(c, func() bool { return c.transport.newcomers.linedUp() == n }, 10*time.Second, time.Millisecond)
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

// In a storm of those who come, who is in is read at once.
func TestNewcomersWaitForEachOtherAndNobodyElseDoes(t *testing.T) {
	if runtime.GOOS != "linux" {
		return // there each is read by a goroutine that waits for it
	}
	c := newCrowd(t)
	known := c.dial()
	c.say(known, "I am in")
	c.hears("I am in")
	awaitParked(t, c.transport, 1)

	c.say(c.dial(), "newcomer 0")
	c.hears("newcomer 0")
	for i := 1; i < 4; i++ {
		c.say(c.dial(), fmt.Sprintf("newcomer %d", i))
		c.awaitLine(i)
	}
	c.say(known, "still in")
	c.hears("still in")
	for i := 1; i < 4; i++ {
		require.Empty(t, c.heard)
		c.deal <- struct{}{}
		c.hears(fmt.Sprintf("newcomer %d", i))
	}
	c.awaitLine(0)
}

func TestWhoSendsHalfAMessageHasNoTurn(t *testing.T) {
	if runtime.GOOS != "linux" {
		return
	}
	c := newCrowd(t)
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
}

func TestWhoGoesWithoutAWordLeavesTheTurnToOthers(t *testing.T) {
	if runtime.GOOS != "linux" {
		return
	}
	c := newCrowd(t)
	for range 3 {
		client := c.dial()
		awaitParked(t, c.transport, 1)
		require.NoError(t, client.NetConn().Close())
		require.Eventually(t, func() bool { return c.transport.Stats().Connections == 0 }, 10*time.Second, time.Millisecond)
	}
	c.say(c.dial(), "another")
	c.hears("another")
}

// A transport closes with a line, too: who is in it has its turn, to end.
func TestALineOfNewcomersIsClosed(t *testing.T) {
	if runtime.GOOS != "linux" {
		return
	}
	c := newCrowd(t)
	c.say(c.dial(), "newcomer 0")
	c.hears("newcomer 0")
	for i := 1; i < 4; i++ {
		c.say(c.dial(), fmt.Sprintf("newcomer %d", i))
		c.awaitLine(i)
	}
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		closeTransport(t, c.transport)
	}()
	<-c.transport.done
	for dealt := false; !dealt; {
		select {
		case c.deal <- struct{}{}: // a turn ends
		case <-closed:
			dealt = true
		}
	}
	require.Zero(t, c.transport.newcomers.linedUp())
	require.Zero(t, c.transport.newcomers.turns)
}
