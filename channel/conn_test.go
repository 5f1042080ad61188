package channel

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/channel/wire"
	"github.com/rollcall-go/rollcall/channel/wire/phoenix1"
	"github.com/rollcall-go/rollcall/channel/wire/phoenix2"
)

func TestConnect(t *testing.T) {
	proves(t, "B004", "B005", "B006", "B007", "B009")
	e := startOne(t, Config{})
	var id string
	h := mustHandler(Handler{
		Connect: func(ctx context.Context, c *ConnectRequest) error {
			switch c.Params.String("as") {
			case "refused":
				return errors.New("no")
			case "answered":
				return fmt.Errorf("limit: %w", &ConnectError{Status: 429, Body: "Too many requests"})
			case "panic":
				panic("boom")
			case "long id":
				c.SetID(strings.Repeat("i", 256))
			case "id":
				c.SetID("users:7")
			}
			id = c.ID()
			return nil
		},
	})
	for _, c := range []struct {
		query  string
		status int
		body   string
	}{
		{"vsn=2.0.0", 0, ""},
		{"vsn=2.0.0&as=id", 0, ""},
		{"", 0, ""}, // 1.0.0
		{"vsn=1.0.0", 0, ""},
		{"vsn=1.1.0", 403, ""},
		{"vsn=2", 403, ""},
		{"vsn[]=2.0.0", 403, ""},
		{"vsn=123.1.1", 403, ""},
		{"vsn=2.0.0&as=refused", 403, ""},
		{"vsn=2.0.0&as=answered", 429, "Too many requests"},
		{"vsn=2.0.0&as=panic", 403, ""},
		{"vsn=2.0.0&as=long+id", 403, ""},
	} {
		params, err := url.ParseQuery(c.query)
		require.NoError(t, err)
		conn, err := e.Connect(context.Background(), h, wire.ConnectInfo{Params: params})
		if c.status == 0 {
			require.NoError(t, err, c.query)
			want := params.Get("vsn")
			if want == "" {
				want = "1.0.0"
			}
			require.Equal(t, want, conn.Vsn())
			require.Equal(t, id, conn.ID())
			continue
		}
		require.Error(t, err, c.query)
		refusal := &ConnectError{}
		require.ErrorAs(t, err, &refusal, c.query)
		require.Equal(t, c.status, refusal.Status, c.query)
		require.Equal(t, c.body, refusal.Body, c.query)
	}
	_, err := e.Connect(context.Background(), &Handler{Routes: []Route{{Pattern: "*"}}}, wire.ConnectInfo{})
	require.ErrorContains(t, err, "not made by NewHandler")
	require.Equal(t, int64(0), e.Stats().Connections, "nothing is registered before Start")
}

func TestMalformedFrameEndsItsOwnConnectionOnly(t *testing.T) {
	proves(t, "B042")
	bubble(t, func(t *testing.T) {
		e := startOne(t, Config{})
		a, b := connect(t, e, referenceHandler(t), "user=a"), connect(t, e, referenceHandler(t), "user=b")
		a.get(`["1","1","echo:a","phx_join",{}]`)
		b.get(`["1","1","echo:a","phx_join",{}]`)
		closing := a.conn.Receive(false, []byte(`{"topic":"t"}`))
		require.NotNil(t, closing)
		require.Equal(t, wire.CloseInternal, closing.Code)
		require.Equal(t, wire.CloseInvalidText, a.conn.Receive(false, []byte("[\"1\xff\"]")).Code)
		a.drop()
		require.Equal(t, []string{`["1","2","echo:a","phx_reply",{"status":"ok","response":{}}]`}, b.get(`["1","2","echo:a","ping",{}]`))
		require.Nil(t, a.conn.Receive(false, []byte(`["1","3","echo:a","ping",{}]`)), "what comes after the end is ignored")
		require.Empty(t, a.take())
		stats := e.Stats()
		stats.Begun = 0
		require.Equal(t, Stats{Connections: 1, Channels: 1}, stats)
	})
}

func TestDisconnectByID(t *testing.T) {
	proves(t, "B010", "B112")
	bubble(t, func(t *testing.T) {
		cl := startCluster(t, 2, nil)
		h := referenceHandler(t)
		var tr trace
		bob1, bob2 := connect(t, cl.endpoints[0], h, "user=bob"), connect(t, cl.endpoints[1], h, "user=bob")
		alice := connect(t, cl.endpoints[1], h, "user=alice")
		// A channel of bob's that tells why it ended.
		bob3, err := cl.endpoints[1].Connect(t.Context(), mustHandler(Handler{
			Connect: func(ctx context.Context, c *ConnectRequest) error { c.SetID("users:bob"); return nil },
			Routes:  handlerOf(script{terminate: func(s *Socket, reason Reason) { tr.add("%v", reason) }}).Routes,
		}), wire.ConnectInfo{Params: url.Values{"vsn": {"2.0.0"}}})
		require.NoError(t, err)
		bob3.Start(&testLink{})
		require.Nil(t, bob3.Receive(false, []byte(`["1","1","t","phx_join",{}]`)))

		require.NoError(t, cl.endpoints[0].Broadcast("users:bob", "else", nil))
		synctest.Wait()
		require.Zero(t, bob1.closeCode())
		alice.get(`["1","1","echo:a","phx_join",{}]`, `["1","2","echo:a","disconnect_user",{"user":"bob"}]`)
		require.Equal(t, wire.CloseGoingAway, bob1.closeCode())
		require.Equal(t, wire.CloseGoingAway, bob2.closeCode())
		require.Zero(t, alice.closeCode())
		require.Equal(t, []string{"disconnected"}, tr.take())
	})
}

func TestDrain(t *testing.T) {
	proves(t, "B113", "B114", "B115")
	bubble(t, func(t *testing.T) {
		var tr trace
		e := startOne(t, Config{DrainBatch: 10, DrainInterval: time.Second})
		h := handlerOf(script{terminate: func(s *Socket, reason Reason) {
			time.Sleep(3 * time.Second)
			tr.add("%v", reason)
		}})
		var clients []*client
		for range 35 {
			clients = append(clients, connect(t, e, h, ""))
		}
		late, err := e.Connect(context.Background(), h, wire.ConnectInfo{Params: url.Values{"vsn": {"2.0.0"}}})
		require.NoError(t, err)
		require.Len(t, clients[0].get(`["1","1","t","phx_join",{}]`), 1)
		closed := func() (n int) {
			synctest.Wait()
			for _, c := range clients {
				if c.closeCode() == wire.CloseRestart {
					n++
				}
			}
			return n
		}
		began := time.Now()
		drained := make(chan error, 1)
		go func() { drained <- e.Drain(context.Background()) }()
		require.Equal(t, 10, closed(), "one batch at once")
		time.Sleep(1600 * time.Millisecond)
		require.GreaterOrEqual(t, closed(), 20)
		require.Less(t, closed(), 35)
		require.NoError(t, <-drained)
		require.Equal(t, 35, closed())
		require.Equal(t, []string{"draining"}, tr.take(), "it waits for Terminate")
		require.GreaterOrEqual(t, time.Since(began), 3*time.Second)
		require.Empty(t, clients[0].take(), "no phx_close")

		link := &testLink{}
		late.Start(link)
		require.Equal(t, wire.CloseRestart, link.code)
		_, err = e.Connect(context.Background(), h, wire.ConnectInfo{Params: url.Values{"vsn": {"2.0.0"}}})
		refusal := &ConnectError{}
		require.ErrorAs(t, err, &refusal)
		require.Equal(t, 503, refusal.Status)
	})
}

func TestDrainEndsWithItsContext(t *testing.T) {
	proves(t, "B084")
	bubble(t, func(t *testing.T) {
		release := make(chan struct{})
		e := startOne(t, Config{DrainBatch: 1})
		h := handlerOf(script{terminate: func(s *Socket, reason Reason) { <-release }})
		var clients []*client
		for range 100 {
			clients = append(clients, connect(t, e, h, ""))
		}
		clients[7].get(`["1","1","t","phx_join",{}]`)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		require.ErrorIs(t, e.Close(ctx), context.DeadlineExceeded)
		require.Equal(t, time.Second, time.Since(began))
		for _, c := range clients {
			require.Equal(t, wire.CloseRestart, c.closeCode(), "all are closed all the same")
		}
		close(release)
	})
}

func TestCloseBeforeAndDuringStart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := startOne(t, Config{})
		c, err := e.Connect(context.Background(), handlerOf(script{}), wire.ConnectInfo{Params: url.Values{"vsn": {"2.0.0"}}})
		require.NoError(t, err)
		c.Closed(wire.ReasonClosed)
		c.Start(&testLink{})
		require.Equal(t, int64(0), e.Stats().Connections)
	})
}

func TestConnCloseClosesThatConnectionAloneOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var tr trace
		e := startOne(t, Config{})
		h := mustHandler(Handler{
			Connect: func(ctx context.Context, c *ConnectRequest) error { c.SetID("users:bob"); return nil },
			Routes:  handlerOf(script{terminate: func(s *Socket, reason Reason) { tr.add("%v", reason) }}).Routes,
		})
		a, b := connect(t, e, h, ""), connect(t, e, h, "")
		a.get(`["1","1","t","phx_join",{}]`)
		b.get(`["1","1","t","phx_join",{}]`)
		var closing sync.WaitGroup
		for range 8 {
			closing.Go(func() { a.conn.Close(4001, "enough") })
		}
		closing.Wait()
		a.conn.Close(wire.CloseRestart, "too late")
		require.Equal(t, []string{"disconnected"}, tr.take())
		require.Equal(t, 4001, a.closeCode())
		require.Zero(t, b.closeCode())
		stats := e.Stats()
		stats.Begun = 0
		require.Equal(t, Stats{Connections: 1, Channels: 1}, stats)
		require.Empty(t, a.take(), "no phx_close")
	})
}

func TestConnCloseBeforeStartIsCarriedOutByStart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := startOne(t, Config{})
		c := connect(t, e, mustHandler(Handler{Connect: func(ctx context.Context, c *ConnectRequest) error {
			c.Close(wire.CloseGoingAway, "come back with another token")
			return nil
		}}), "")
		require.Equal(t, wire.CloseGoingAway, c.closeCode())
		require.Equal(t, int64(0), e.Stats().Connections)
		require.NoError(t, e.Drain(t.Context()))
	})
}

func TestConnCloseSendsNoCodeThatMustNotBeSent(t *testing.T) {
	e := startOne(t, Config{})
	for code, want := range map[int]int{
		0: 1011, 1000: 1011, 1001: 1001, 1003: 1003, 1005: 1011, 1006: 1011, 1007: 1007, 1013: 1013, 1015: 1011, 3999: 1011, 4000: 4000, 4999: 4999, 5000: 1011,
	} {
		c := connect(t, e, mustHandler(Handler{}), "")
		c.conn.Close(code, "")
		require.Equal(t, want, c.closeCode(), code)
	}
}

func TestNewNamesEveryFaultOfTheConfig(t *testing.T) {
	_, err := New(Config{MaxChannels: -2, StateTimeout: -1})
	require.EqualError(t, err, "channel: Config.MaxChannels is -2, must not be negative\nchannel: Config.StateTimeout is -1ns, must not be negative")
}

func TestLimitsCanBeSwitchedOff(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := startOne(t, Config{
			MaxChannels: NoLimit, JoinRate: NoLimit, JoinBurst: 1, MessageRate: NoLimit, MessageBurst: 1,
			MaxJoinsRunning: NoLimit, MaxJoinsWaiting: NoLimit, MaxGraces: NoLimit,
		})
		c := connect(t, e, handlerOf(script{}), "")
		for i := range 300 {
			require.Contains(t, c.get(fmt.Sprintf(`["1","1","t%d","phx_join",{}]`, i))[0], `"ok"`)
		}
		h, err := NewHandler(Handler{Routes: handlerOf(script{}).Routes, MaxChannels: NoLimit})
		require.NoError(t, err)
		other := connect(t, startOne(t, Config{MaxChannels: 1, JoinBurst: 300}), h, "")
		for i := range 300 {
			require.Contains(t, other.get(fmt.Sprintf(`["1","1","t%d","phx_join",{}]`, i))[0], `"ok"`)
		}
	})
}

// FuzzConn feeds a whole connection of either version with frames, which
// frameSeparator stands between; those that begin with B are binary. Whatever
// comes, the connection neither panics nor sends what is no frame, and it ends
// cleanly.
func FuzzConn(f *testing.F) {
	add := func(old bool, frames ...string) { f.Add(old, []byte(strings.Join(frames, frameSeparator))) }
	add(false, `["1","1","echo:a","phx_join",{}]`, `["1","2","echo:a","ping",{}]`, `["1","3","echo:a","phx_leave",{}]`)
	add(false, `["1","1","echo:a","phx_join",{"deny":true}]`, `[2,2,"echo:a","phx_join",[]]`, `[3,3,"echo:a","phx_join",null]`, `[null,4,"echo:a","tell_secret",{}]`)
	add(false, `["1","1","echo:a","phx_join",{"crash":true}]`, `["1","2","echo:a","async",{"after":0}]`, `["1","2","echo:a","disconnect_user",{"user":"u"}]`)
	binary := func(joinRef, ref, topic, event, data string) string {
		frame := []byte{'B', 0, byte(len(joinRef)), byte(len(ref)), byte(len(topic)), byte(len(event))}
		return string(frame) + joinRef + ref + topic + event + data
	}
	add(false, binary("1", "1", "echo:a", "phx_join", "x\n"), binary("1", "2", "echo:a", "binary", "\x00\xff"), binary("1", "3", "echo:a", "binary_push", ""),
		binary("1", "4", "echo:a", "binary_shout", "\n"), `["1","5","echo:a","ping",{}]`, binary("1", "6", "echo:a", "ping", "no object"), binary("1", "7", "echo:a", "phx_leave", ""))
	add(false, `["1","1","echo:0123456789abcd","phx_join",{}]`, binary("1", "22", "echo:0123456789abcd", "binary_push", "x"), "B\x01\x00\x00\x00\x00", `["1","2","echo:a","ping",{}]`)
	add(true, `{"topic":"echo:a","event":"phx_join","payload":{},"ref":"1"}`, `{"topic":"echo:a","event":"ping","payload":{"x":1},"ref":"2"}`, `{"topic":"echo:a","event":"shout_reply","payload":{},"ref":3,"join_ref":"1"}`,
		`{"topic":"echo:a","event":"phx_join","payload":null,"ref":"4","join_ref":"4"}`, `{"topic":"echo:a","event":"stop_reply","payload":{},"ref":"5"}`, `{"topic":"phoenix","event":"heartbeat","payload":{},"ref":null}`)
	add(true, `{"topic":"room:a","event":"phx_join","payload":{"meta":{"a":"b"}},"ref":"1"}`, `{"topic":"room:a","event":"update_meta","payload":{"meta":{}},"ref":"2"}`, binary("1", "3", "room:a", "list", ""))
	add(true, `{"topic":"echo:a","event":"phx_join","payload":{},"ref":"1"}`, `{"topic":"echo:a","event":"binary_push","payload":{},"ref":"2"}`, `["1","3","echo:a","ping",{}]`)
	h := referenceHandler(f)
	f.Fuzz(func(t *testing.T, old bool, script []byte) {
		synctest.Test(t, func(t *testing.T) {
			query, version := "user=u", wire.Codec(phoenix2.Protocol{})
			if old {
				query, version = "user=u&vsn=1.0.0", phoenix1.Protocol{}
			}
			e := startOne(t, Config{MaxChannels: 3, JoinBurst: 10})
			c := connect(t, e, h, query)
			for frame := range strings.SplitSeq(string(script), frameSeparator) {
				data, binary := strings.CutPrefix(frame, "B")
				if c.conn.Receive(binary, []byte(data)) != nil {
					break
				}
			}
			synctest.Wait()
			c.drop()
			for _, f := range c.link.frames {
				if f.Binary {
					require.False(t, old, "%q", f.Data)
					requireBinaryFrame(t, f.Data)
					continue
				}
				_, err := version.Decode(nil, false, f.Data)
				require.NoError(t, err, "%s", f.Data)
			}
			synctest.Wait()
			require.Equal(t, int64(0), e.Stats().Channels)
			require.Empty(t, c.conn.members)
		})
	})
}

func TestASocketMayHaveALimitOfChannelsOfItsOwn(t *testing.T) {
	proves(t, "B049")
	bubble(t, func(t *testing.T) {
		e := startOne(t, Config{JoinBurst: 200})
		for _, limit := range []int{0, 2, 150} {
			routes := []Route{{Pattern: "*", New: func() Channel { return script{} }}}
			h, err := NewHandler(Handler{Routes: routes, MaxChannels: limit})
			require.NoError(t, err)
			c := connect(t, e, h, "")
			joins := limit
			if limit == 0 {
				joins = 100
			}
			for i := range joins {
				require.Contains(t, c.get(fmt.Sprintf(`["1","1","t%d","phx_join",{}]`, i))[0], `"ok"`)
			}
			require.Equal(t, []string{`["2","2","more","phx_reply",{"status":"error","response":{"reason":"too many channels joined"}}]`},
				c.get(`["2","2","more","phx_join",{}]`))
			require.Len(t, c.get(`["1","3","t0","phx_leave",{}]`), 2)
			require.Contains(t, c.get(`["4","4","more","phx_join",{}]`)[0], `"ok"`, "a place is free again")
		}
		_, err := NewHandler(Handler{MaxChannels: -2})
		require.ErrorContains(t, err, "channel: Handler.MaxChannels is -2, must not be negative")
	})
}

const frameSeparator = "\n--\n"

// requireBinaryFrame asserts that a client could read a binary frame of the
// server: that the names, whose lengths it begins with, are there.
func requireBinaryFrame(t *testing.T, data []byte) {
	t.Helper()
	require.NotEmpty(t, data)
	lengths, ok := map[byte]int{0: 3, 1: 4, 2: 2}[data[0]]
	require.True(t, ok, "%q", data)
	size := 1 + lengths
	require.GreaterOrEqual(t, len(data), size)
	for _, length := range data[1:size] {
		size += int(length)
	}
	require.GreaterOrEqual(t, len(data), size, "%q", data)
}

// What a connection came with, tokens among it, does not stay for as long as the
// connection lasts.
func TestConnForgetsWhatItCameWithAfterConnect(t *testing.T) {
	e := startOne(t, Config{})
	info := wire.ConnectInfo{
		Transport: "websocket", Params: url.Values{"vsn": {"2.0.0"}, "a[b]": {"c"}}, RemoteAddr: &net.TCPAddr{Port: 1},
		Host: "example.com", URI: &url.URL{Path: "/"}, UserAgent: "browser", XHeaders: map[string][]string{"x-a": {"b"}},
		TraceContextHeaders: map[string][]string{"tracestate": {"a=b"}}, SecWebSocketHeaders: map[string][]string{"sec-websocket-version": {"13"}},
		TLS: &tls.ConnectionState{}, Session: "session", AuthToken: "secret", At: time.Now(),
	}
	var seen wire.ConnectInfo
	c, err := e.Connect(t.Context(), mustHandler(Handler{Connect: func(_ context.Context, c *ConnectRequest) error {
		seen = c.Info
		require.Equal(t, Params{"vsn": "2.0.0", "a": map[string]any{"b": "c"}}, c.Params)
		c.Assign("b", 1)
		c.Assign("b", 2)
		c.Assign("a", nil)
		return nil
	}}), info)
	require.NoError(t, err)
	whole := info
	whole.Vsn = "2.0.0"
	require.Equal(t, whole, seen)
	require.Equal(t, []any{"websocket", "2.0.0", info.RemoteAddr}, []any{c.Transport(), c.Vsn(), c.RemoteAddr()})
	require.Equal(t, 2, c.Value("b"))
	require.Nil(t, c.Value("a"))
	require.Nil(t, c.Value("c"))
	c.Closed(wire.ReasonClosed)
}
