package channel

import (
	"fmt"
	"net"
	"net/url"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/channel/wire"
)

func TestConnectionsAreListedInOrder(t *testing.T) {
	proves(t, "B129")
	bubble(t, func(t *testing.T) {
		e := startOne(t, Config{})
		h := referenceHandler(t)
		h.Name = "UserSocket"
		var want []ConnectionInfo
		for _, who := range []struct {
			user string
			port int
		}{{"eve", 3}, {"bob", 2}, {"bob", 1}, {"ann", 9}} {
			conn, err := e.Connect(t.Context(), h, wire.ConnectInfo{
				Transport: "test", Params: url.Values{"vsn": {"2.0.0"}, "user": {who.user}},
				RemoteAddr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: who.port},
			})
			require.NoError(t, err)
			require.Len(t, e.Connections(), len(want), "only what has started")
			conn.Start(&testLink{})
			want = append([]ConnectionInfo{{
				Conn: conn, ID: "users:" + who.user, Handler: "UserSocket", Transport: "test", Vsn: "2.0.0", Remote: fmt.Sprintf("192.0.2.1:%d", who.port),
			}}, want...)
		}
		require.Nil(t, want[1].Conn.Receive(false, []byte(`["1","1","echo:a","phx_join",{}]`)))
		synctest.Wait()
		want[1].Channels = 1
		require.Equal(t, want, e.Connections())
		want[0].Conn.Closed(wire.ReasonClosed)
		require.Equal(t, want[1:], e.Connections())
	})
}

func TestChannelsOfAConnectionAreListedWithTheirStatus(t *testing.T) {
	proves(t, "B129")
	bubble(t, func(t *testing.T) {
		e := startOne(t, Config{})
		release := make(chan struct{})
		c := connect(t, e, handlerOf(script{
			join: func(s *Socket, _ Payload) (any, error) {
				if s.Topic() == "slow" {
					<-release
				}
				return nil, nil
			},
			terminate: func(s *Socket, _ Reason) {
				if s.Topic() == "b" {
					<-release
				}
			},
		}), "")
		require.Empty(t, c.conn.Channels())
		c.send(`["1","1","slow","phx_join",{}]`, `["2","1","b","phx_join",{}]`, `["3","1","a","phx_join",{}]`)
		synctest.Wait()
		c.send(`["2","2","b","phx_leave",{}]`)
		synctest.Wait()
		c.send(`["4","1","b","phx_join",{}]`)
		synctest.Wait()
		list := c.conn.Channels()
		var lines []string
		for _, ch := range list {
			lines = append(lines, ch.Topic+" "+ch.JoinRef+" "+string(ch.Status))
		}
		require.Equal(t, []string{"a 3 joined", "b 2 leaving", "b 4 joining", "slow 1 joining"}, lines)
		require.Equal(t, 4, e.Connections()[0].Channels)
		c.take()
		require.NoError(t, list[0].Socket.Push("hello", nil))
		require.Equal(t, []string{`["3",null,"a","hello",{}]`}, c.take())
		close(release)
		synctest.Wait()
		require.Len(t, c.conn.Channels(), 3)
		c.drop()
		synctest.Wait()
		require.Empty(t, c.conn.Channels())
	})
}
