package websocket

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	gorilla "github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/channel/wire"
)

// Raw frames of a client, with a mask of zeros.
var (
	emptyPing     = []byte{0x89, 0x80, 0, 0, 0, 0}
	emptyPong     = []byte{0x8a, 0x80, 0, 0, 0, 0}
	beginText     = []byte{0x01, 0x80, 0, 0, 0, 0}
	emptyFragment = []byte{0x00, 0x80, 0, 0, 0, 0}
)

// Whatever a client floods with is closed with the code and the reason, told
// once, and cut when it does not care.
func TestFloodsAreClosed(t *testing.T) {
	heartbeat := []byte(`[null,"1","phoenix","heartbeat",{}]`)
	for _, c := range []struct {
		name        string
		first, then []byte // on the wire; then again and again
		code        int
		reason      string
		log         string
	}{
		{"messages", nil, append([]byte{0x81, 0x80 | byte(len(heartbeat)), 0, 0, 0, 0}, heartbeat...), 1013, "too many messages", `level=WARN msg="channel: rejected" cause=flood transport=websocket remote="" id=users:bob limit=10000 code=1013`},
		{"pings", nil, emptyPing, 1013, "too many messages", `cause=flood`},
		{"pongs", nil, emptyPong, 1013, "too many messages", `cause=flood`},
		{"empty messages in one", beginText, emptyFragment, 1009, "message too big", `cause=frame_size transport=websocket remote="" id=users:bob limit=1048576 code=1009`},
		{"pings in a message", beginText, emptyPing, 1013, "too many messages", `cause=flood`},
	} {
		t.Run(c.name, func(t *testing.T) {
			eachPipe(t, func(t *testing.T, k kind) {
				if raceEnabled && k.compress && c.name == "messages" {
					return // to compress 20,000 replies takes it a minute
				}
				// However slowly the replies are compressed, the client is not too slow.
				transport, endpoint, log := rejecting(t, Config{Compress: k.compress, OutboxBytes: 64 << 20})
				client, near := k.dialPipe(t, transport)
				client.SetCloseHandler(func(int, string) error { return nil }) // it only floods
				began := time.Now()
				go func() {
					near.Write(c.first)
					for chunk := bytes.Repeat(c.then, 100); ; {
						if _, err := near.Write(chunk); err != nil {
							return
						}
					}
				}()
				requireClosed(t, client, c.code, c.reason)
				require.Zero(t, time.Since(began), "at once")
				time.Sleep(6 * time.Second) // longer than CloseTimeout
				synctest.Wait()
				require.Zero(t, transport.Stats().Connections, "it is cut")
				require.Contains(t, log.String(), c.log)
				closeTransport(t, transport)
				require.NoError(t, endpoint.Close(t.Context()))
			})
		})
	}
}

// Dropping what a flood goes on with must not cost what handling it would.
func TestWhatComesAfterAFloodIsReadSlowly(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, s *fakeConn, transport *Transport, client *gorilla.Conn, _ wire.Link) {
		s.receive = func(bool, []byte) *wire.Close { return &wire.Close{Code: 1013, Reason: "enough"} }
		near := client.NetConn()
		client.SetCloseHandler(func(int, string) error { return nil }) // it only floods
		go func() {
			for {
				if _, _, err := client.ReadMessage(); err != nil {
					return
				}
			}
		}()
		written := 0
		for chunk := bytes.Repeat([]byte("\x81\x80\x00\x00\x00\x00"), 1000); ; {
			n, err := near.Write(chunk)
			written += n
			if err != nil {
				break
			}
		}
		<-s.closed
		require.Less(t, written, int(5*time.Second/slowPause)*readAhead+readAhead)
	})
}

// A message in many small parts, and any number of pings over a long time, are
// no flood.
func TestSmallFragmentsAndPingsArePossible(t *testing.T) {
	inBubble(t, Config{MaxFrame: 1 << 10}, func(t *testing.T, s *fakeConn, transport *Transport, client *gorilla.Conn, _ wire.Link) {
		got := make(chan string, 1)
		s.receive = func(_ bool, data []byte) *wire.Close { got <- string(data); return nil }
		near := client.NetConn()
		write := func(b ...byte) {
			_, err := near.Write(b)
			require.NoError(t, err)
		}
		go func() { // reads the pongs
			for {
				if _, _, err := client.ReadMessage(); err != nil {
					return
				}
			}
		}()
		for range 2000 {
			write(emptyPing...)
		}
		for range 3 {
			write(0x01, 0x81, 0, 0, 0, 0, 'x')
			for range 800 {
				write(0x00, 0x81, 0, 0, 0, 0, 'x')
			}
			write(0x80, 0x80, 0, 0, 0, 0)
			require.Equal(t, strings.Repeat("x", 801), <-got)
		}
	})
}
