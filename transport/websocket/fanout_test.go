package websocket

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	gorilla "github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/channel/wire"
)

// Connections that compress write the one compressed form of a shared frame, and
// compress nothing themselves: what they are sent is what that form says.
func TestASharedFrameIsCompressedOnce(t *testing.T) {
	fakes := make(chan *fakeConn, 3)
	_, server := kind{compress: true}.serve(t, Config{}, func(context.Context, wire.ConnectInfo) (channelConn, error) {
		s := newFake()
		fakes <- s
		return s, nil
	})
	f := shared("what each would compress")
	once := prepared(f).bytes(true)
	require.Same(t, unsafe.SliceData(once), unsafe.SliceData(prepared(f).bytes(true)))
	prepared(f).deflated = appendCompressed(nil, opText, []byte("what was compressed once"))

	for range cap(fakes) {
		client := dial(t, server, nil)
		awaitLink(t, <-fakes).Send(f)
		requireText(t, client, "what was compressed once")
	}
}

// While a write to one client is stuck, nothing that the endpoint does for it or
// for others waits: no lock is held. (In a bubble a goroutine that waits for a
// mutex stops the time, and the test.)
func TestAStuckWriteHoldsNoLock(t *testing.T) {
	eachPipe(t, func(t *testing.T, k kind) {
		transport, endpoint, _ := rejecting(t, Config{Compress: k.compress})
		stuck, _ := k.dialPipe(t, transport)
		client, _ := k.dialPipe(t, transport)
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
