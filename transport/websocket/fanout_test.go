package websocket

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	gorilla "github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/channel/wire"
)

// Connections that compress write the one compressed form of a shared frame, and
// compress nothing themselves: what they are sent is what that form says.
func TestASharedFrameIsCompressedOnce(t *testing.T) {
	sessions := make(chan *fakeSession, 3)
	_, server := serveLoopback(t, Options{Compress: true}, func(context.Context, wire.ConnectInfo) (session, error) {
		s := newSession()
		sessions <- s
		return s, nil
	})
	f := shared("what each would compress")
	once, err := prepared(f).message(f)
	require.NoError(t, err)
	marked, err := gorilla.NewPreparedMessage(gorilla.TextMessage, []byte("what was compressed once"))
	require.NoError(t, err)
	prepared(f).compressed = marked
	again, err := prepared(f).message(f)
	require.NoError(t, err)
	require.Same(t, marked, again)
	require.NotSame(t, once, again)

	dialer := gorilla.Dialer{EnableCompression: true}
	for range cap(sessions) {
		client, _, err := dialer.Dial(wsURL(server), nil)
		require.NoError(t, err)
		defer client.Close()
		require.NoError(t, client.SetReadDeadline(time.Now().Add(20*time.Second)))
		awaitLink(t, <-sessions).Send(f)
		requireText(t, client, "what was compressed once")
	}
}

// While a write to one client is stuck, nothing that the endpoint does for it or
// for others waits: no lock is held. (In a bubble a goroutine that waits for a
// mutex stops the time, and the test.)
func TestAStuckWriteHoldsNoLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		transport, endpoint, _ := rejecting(t, Options{})
		stuck, _ := dialPipe(t, transport)
		client, _ := dialPipe(t, transport)
		for _, c := range []*gorilla.Conn{stuck, client} {
			require.NoError(t, c.WriteMessage(gorilla.TextMessage, []byte(`["1","1","room:a","phx_join",{}]`)))
		}
		requireText(t, client, `["1","1","room:a","phx_reply",{"status":"ok","response":{}}]`)
		synctest.Wait() // the answer to the other is being written
		began := time.Now()
		for range 100 {
			require.NoError(t, endpoint.Broadcast("room:a", "e", nil))
			requireText(t, client, `[null,null,"room:a","e",{}]`)
			require.NoError(t, stuck.WriteMessage(gorilla.TextMessage, []byte(`["1","2","room:a","ping",{}]`)))
			for _, c := range endpoint.Connections() {
				require.Len(t, c.Conn.Channels(), 1)
			}
			require.Equal(t, 2, transport.Stats().Connections)
		}
		require.Zero(t, time.Since(began))
		for _, c := range endpoint.Connections() {
			c.Conn.Close(wire.CloseGoingAway, "")
		}
		require.Zero(t, time.Since(began), "nor does closing wait")
		requireClosed(t, client, wire.CloseGoingAway, "")
		stuck.Close()
		client.Close()
		closeTransport(t, transport)
		require.NoError(t, endpoint.Close(context.Background()))
	})
}
