package websocket

import (
	"testing"
	"time"

	gorilla "github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"
)

// deafen has nobody wait for input of the transport's connections, as where every
// processor is busy. It is called before there are any.
func deafen(t *testing.T, transport *Transport) {
	t.Helper()
	poll, err := newPoll()
	require.NoError(t, err)
	p := transport.parking
	p.began = p.began.Add(-time.Hour)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.poll = poll
}

// Elsewhere nothing is parked.
func TestWhoGivesWayHearsWhatCame(t *testing.T) {
	transport, server := serveLoopback(t, Options{}, letIn(echo()))
	deafen(t, transport)
	transport.giveWay() // to nobody
	client := dial(t, server, nil)
	awaitParked(t, transport, 1)
	p := transport.parking

	require.NoError(t, client.WriteMessage(gorilla.TextMessage, []byte("here")))
	p.looked.Store(int64(time.Since(p.began) + time.Hour)) // somebody has just looked
	transport.giveWay()
	require.Equal(t, 1, p.parked(t))
	p.looked.Store(0)
	transport.giveWay()
	requireText(t, client, "here")
	require.Less(t, time.Since(p.began)-time.Duration(p.looked.Load()), 20*time.Second)
}

func TestTheTurnOfANewcomerHearsWhoIsKnown(t *testing.T) {
	transport, server := serveLoopback(t, Options{}, letIn(echo()))
	deafen(t, transport)
	known := dial(t, server, nil)
	awaitParked(t, transport, 1)
	first := only(t, transport)
	require.NoError(t, known.WriteMessage(gorilla.TextMessage, []byte("first")))
	transport.parking.heard(first.place.number)
	requireText(t, known, "first")
	awaitParked(t, transport, 1)

	dial(t, server, nil)
	awaitParked(t, transport, 2)
	require.NoError(t, known.WriteMessage(gorilla.TextMessage, []byte("second")))
	transport.parking.looked.Store(0)
	transport.parking.heard(1 - first.place.number)
	requireText(t, known, "second")
}
