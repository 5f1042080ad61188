package channel

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/channel/wire"
)

// telling is a Telemetry that notes into a trace what it is told.
func telling(tr *trace) Telemetry {
	return Telemetry{
		Connect: func(e ConnectEvent) {
			tr.add("connect %s %s vsn %s (%s) %v in %v: %v", e.Handler.Name, e.Request.Transport(), e.Request.Vsn(), e.Protocol, e.Request.Params["as"], e.Duration, e.Err)
		},
		Join: func(e JoinEvent) {
			tr.add("join %s %s in %v: %v", e.Socket.Topic(), e.Params.JSON(), e.Duration, e.Err)
		},
		HandleIn: func(e HandleInEvent) {
			tr.add("handle_in %s %s %s ref %s in %v", e.Socket.Topic(), e.Event, e.Payload.JSON(), e.Ref, e.Duration)
		},
		Drain: func(e DrainEvent) {
			tr.add("drain %d of %d, round %d of %d, every %v", e.Count, e.Total, e.Index, e.Rounds, e.Interval)
		},
		Reject: func(r RejectEvent) {
			tr.add("reject %s %s %v %d", r.Cause, r.Topic, r.Limit, r.Code)
		},
	}
}

func TestConnectionsAreToldAcceptedAndRefused(t *testing.T) {
	proves(t, "B125")
	bubble(t, func(t *testing.T) {
		var tr trace
		e := startOne(t, Config{Telemetry: []Telemetry{{}, telling(&tr)}})
		h := mustHandler(Handler{Name: "UserSocket", Connect: func(ctx context.Context, c *ConnectRequest) error {
			time.Sleep(3 * time.Second)
			switch c.Params.String("as") {
			case "eve":
				return errors.New("not her")
			case "busy":
				return &ConnectError{Status: 429}
			case "crash":
				panic("boom")
			}
			return nil
		}})
		try := func(query string, at time.Time) {
			params, err := url.ParseQuery(query)
			require.NoError(t, err)
			_, _ = e.Connect(t.Context(), h, wire.ConnectInfo{Transport: "test", Params: params, At: at})
		}
		try("as=bob&vsn=2.0.0", time.Time{})
		try("as=old", time.Now().Add(-time.Second))
		try("as=eve", time.Time{})
		try("as=busy", time.Time{})
		try("as=crash", time.Time{})
		try("as=bob&vsn=3.0.0", time.Time{})
		require.Equal(t, []string{
			"connect UserSocket test vsn 2.0.0 (2.0) bob in 3s: <nil>",
			"connect UserSocket test vsn 1.0.0 (1.0) old in 4s: <nil>",
			"connect UserSocket test vsn 1.0.0 (1.0) eve in 3s: channel: connection refused with 403: not her",
			"connect UserSocket test vsn 1.0.0 (1.0) busy in 3s: channel: connection refused with 429",
			"connect UserSocket test vsn 1.0.0 (1.0) crash in 3s: channel: connection refused with 403: panic in Connect: boom",
			"reject version  <nil> 403", // the handler was not asked
		}, tr.take())
	})
}

// slowScript takes its time, and does what the payload says.
func slowScript() script {
	does := func(p Payload) string {
		var what struct{ Do string }
		_ = p.Decode(&what)
		time.Sleep(2 * time.Second)
		return what.Do
	}
	return script{
		join: func(s *Socket, params Payload) (any, error) {
			switch does(params) {
			case "refuse":
				return nil, Refuse("no")
			case "crash":
				panic("boom")
			case "nonsense":
				return func() {}, nil
			}
			return nil, nil
		},
		in: func(s *Socket, event string, payload Payload) Result {
			switch does(payload) {
			case "crash":
				panic("boom")
			case "stop":
				return Stop(wire.ReasonNormal)
			}
			return OK(nil)
		},
	}
}

func TestJoinsAreToldAcceptedAndRefused(t *testing.T) {
	proves(t, "B126")
	bubble(t, func(t *testing.T) {
		var tr trace
		e := startOne(t, Config{Telemetry: []Telemetry{telling(&tr)}})
		c := connect(t, e, handlerOf(slowScript()), "")
		tr.take()
		for _, frame := range []string{
			`["1","1","a","phx_join",{"do":"it"}]`, `["2","2","b","phx_join",{"do":"refuse"}]`,
			`["3","3","c","phx_join",{"do":"crash"}]`, `["4","4","d","phx_join",{"do":"nonsense"}]`,
		} {
			c.send(frame)
			time.Sleep(3 * time.Second)
		}
		told := tr.take()
		require.Len(t, told, 4)
		require.Equal(t, []string{
			`join a {"do":"it"} in 2s: <nil>`,
			`join b {"do":"refuse"} in 2s: channel: join refused: map[reason:no]`,
			`join c {"do":"crash"} in 2s: panic in Join: boom`,
		}, told[:3])
		require.Regexp(t, `^join d {"do":"nonsense"} in 2s: channel: payload must be`, told[3])
	})
}

func TestMessagesAreToldWhenHandleInHasReturned(t *testing.T) {
	proves(t, "B127")
	bubble(t, func(t *testing.T) {
		var tr trace
		e := startOne(t, Config{Telemetry: []Telemetry{{HandleIn: telling(&tr).HandleIn}}})
		c := connect(t, e, handlerOf(slowScript()), "")
		for _, frame := range []string{
			`["1","1","a","phx_join",{}]`, `["1","2","a","ping",{"n":1}]`, `[null,"h","phoenix","heartbeat",{}]`,
			`["1","3","a","ping",{"do":"crash"}]`, // not told
			`["2","4","a","phx_join",{}]`, `["2",null,"a","ping",{"do":"stop"}]`,
			`["3","5","a","phx_join",{}]`, `["3","6","a","phx_leave",{}]`,
		} {
			c.send(frame)
			time.Sleep(3 * time.Second)
		}
		require.Equal(t, []string{`handle_in a ping {"n":1} ref 2 in 2s`, `handle_in a ping {"do":"stop"} ref  in 2s`}, tr.take())
	})
}

// Clients of several replicas that drain at once do not come back in step.
func TestTheBatchesOfADrainComeWithJitter(t *testing.T) {
	proves(t, "B114", "B128")
	cfg, err := Config{}.withDefaults()
	require.NoError(t, err)
	require.Equal(t, 1000, cfg.DrainBatch)
	require.Equal(t, 500*time.Millisecond, cfg.DrainInterval)
	bubble(t, func(t *testing.T) {
		var at []time.Duration
		e := startOne(t, Config{DrainBatch: 1, DrainInterval: time.Second, Telemetry: []Telemetry{{
			Drain: func(e DrainEvent) { at = append(at, e.Elapsed) },
		}}})
		h := handlerOf(script{})
		for range 20 {
			connect(t, e, h, "")
		}
		began := time.Now()
		require.NoError(t, e.Drain(t.Context()))
		require.Len(t, at, 20)
		require.Zero(t, at[0])
		require.Equal(t, time.Since(began), at[19])
		waits := map[time.Duration]bool{}
		for i := range 19 {
			wait := at[i+1] - at[i]
			require.GreaterOrEqual(t, wait, 500*time.Millisecond)
			require.Less(t, wait, 1500*time.Millisecond)
			waits[wait] = true
		}
		require.Greater(t, len(waits), 15)
	})
}

func TestEveryBatchOfADrainIsTold(t *testing.T) {
	proves(t, "B128")
	bubble(t, func(t *testing.T) {
		var tr trace
		log, text := testLog()
		e := startOne(t, Config{Logger: log, DrainBatch: 10, DrainInterval: time.Second, Telemetry: []Telemetry{telling(&tr)}})
		h := handlerOf(script{})
		for range 25 {
			connect(t, e, h, "")
		}
		tr.take()
		require.NoError(t, e.Drain(t.Context()))
		require.Equal(t, []string{
			"drain 10 of 25, round 1 of 3, every 1s",
			"drain 10 of 25, round 2 of 3, every 1s",
			"drain 5 of 25, round 3 of 3, every 1s",
		}, tr.take())
		require.Contains(t, text.String(), `msg="channel: draining" count=10 total=25 interval=1s round=2 rounds=3 elapsed=`)
		require.NoError(t, e.Drain(t.Context()))
		require.Empty(t, tr.take(), "nobody is left")
	})
}

func TestAHookThatPanicsHurtsNobody(t *testing.T) {
	bubble(t, func(t *testing.T) {
		log, text := testLog()
		var tr trace
		bad := Telemetry{
			Connect:  func(ConnectEvent) { panic("hook 1") },
			Join:     func(JoinEvent) { panic("hook 2") },
			HandleIn: func(HandleInEvent) { panic("hook 3") },
			Drain:    func(DrainEvent) { panic("hook 4") },
			Reject:   func(RejectEvent) { panic("hook 5") },
		}
		e := startOne(t, Config{Logger: log, MaxChannels: 1, Telemetry: []Telemetry{bad, telling(&tr)}})
		c := connect(t, e, handlerOf(slowScript()), "")
		c.send(`["1","1","a","phx_join",{}]`, `["1","2","a","ping",{}]`, `["2","3","b","phx_join",{}]`)
		time.Sleep(10 * time.Second)
		require.Len(t, c.take(), 3)
		require.NoError(t, e.Drain(t.Context()))
		require.Len(t, tr.take(), 5, "the next one is told all the same")
		for i := range 5 {
			require.Contains(t, text.String(), fmt.Sprintf("hook %d", i+1))
		}
		require.Equal(t, uint64(5), e.Stats().Panics)
	})
}

// A hook may ask what it is told about: no lock is held.
func TestHooksMayCallTheEndpointAndTheConnection(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var tr trace
		look := func(c *Conn) {
			c.Assign("seen", true)
			tr.add("%s of %d", c.ID(), c.Endpoint().Stats().Connections)
		}
		e := startOne(t, Config{MaxChannels: 1, Telemetry: []Telemetry{{
			Connect:  func(e ConnectEvent) { look(e.Request.Conn) },
			Join:     func(e JoinEvent) { look(e.Socket.Conn()); _ = e.Socket.Push("hello", nil) },
			HandleIn: func(e HandleInEvent) { look(e.Socket.Conn()); e.Socket.Conn().Close(4000, "") },
			Reject:   func(r RejectEvent) { look(r.Conn) },
		}}})
		c := connect(t, e, referenceHandler(t), "user=bob")
		c.send(`["1","1","echo:a","phx_join",{}]`, `["2","2","echo:b","phx_join",{}]`)
		synctest.Wait()
		c.send(`["1","3","echo:a","ping",{}]`)
		require.Equal(t, []string{"users:bob of 0", "users:bob of 1", "users:bob of 1", "users:bob of 1"}, tr.take())
		require.Equal(t, 4000, c.closeCode())
	})
}

func TestWhatNobodyWantsToBeToldCostsNothing(t *testing.T) {
	clock := 0
	for name, cfg := range map[string]Config{
		"nothing is set":             {},
		"a log above debug":          {Logger: slog.New(slog.NewTextHandler(&lockedBuffer{}, nil))},
		"hooks for other things":     {Telemetry: []Telemetry{{Reject: func(RejectEvent) {}, Drain: func(DrainEvent) {}}}},
		"a log that is never to log": {Logger: slog.New(slog.NewTextHandler(&lockedBuffer{}, &slog.HandlerOptions{Level: slog.LevelDebug}))},
	} {
		e := startOne(t, cfg)
		e.telemetry.now = func() time.Time { clock++; return time.Now() }
		handled := make(chan struct{})
		h := handlerOf(script{in: func(*Socket, string, Payload) Result { return NoReply() }})
		h.Routes[0].LogJoin, h.Routes[0].LogHandleIn, h.Log = LogNever, LogNever, LogNever
		if name != "a log that is never to log" {
			h.Routes[0].LogHandleIn = slog.Leveler(nil)
		}
		c := connect(t, e, h, "")
		c.conn.Receive(false, []byte(`["1","1","a","phx_join",{}]`))
		require.Eventually(t, func() bool { return e.Stats().Channels == 1 }, time.Second, time.Millisecond)
		m := c.conn.member(1)
		message := wire.Message{Topic: "a", Event: "ping"}
		require.Zero(t, testing.AllocsPerRun(100, func() { m.handleIn(message) }), name)
		require.Zero(t, clock, name)
		close(handled)
		c.drop()
	}
}

// B086 and B087: who logs what at which level.
func TestLogLevelsOfHandlersAndRoutes(t *testing.T) {
	proves(t, "B086", "B087")
	bubble(t, func(t *testing.T) {
		text := &lockedBuffer{}
		drop := func(groups []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}
		log := slog.New(slog.NewTextHandler(text, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: drop}))
		hooks := Telemetry{Join: func(JoinEvent) {}, HandleIn: func(HandleInEvent) {}} // what they are told need not be logged
		e := startOne(t, Config{Logger: log, Telemetry: []Telemetry{hooks}})
		newChannel := func() Channel { return slowScript() }
		h := func(level slog.Leveler) *Handler {
			return mustHandler(Handler{Name: "UserSocket", Log: level, Routes: []Route{
				{Pattern: "room:*", New: newChannel},
				{Pattern: "loud:*", New: newChannel, LogJoin: slog.LevelWarn, LogHandleIn: slog.LevelInfo},
				{Pattern: "quiet:*", New: newChannel, LogJoin: LogNever, LogHandleIn: LogNever},
				{Pattern: "phoenix:*", New: newChannel},
			}, Connect: func(_ context.Context, c *ConnectRequest) error {
				if c.Params.String("as") == "eve" {
					return errors.New("not her")
				}
				c.SetID("users:bob")
				return nil
			}})
		}
		for _, level := range []slog.Leveler{nil, slog.LevelError, LogNever} {
			for _, as := range []string{"bob", "eve"} {
				info := wire.ConnectInfo{Transport: "test", Params: url.Values{"as": {as}, "vsn": {"2.0.0"}}, RemoteAddr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 7}}
				c, err := e.Connect(t.Context(), h(level), info)
				if err != nil {
					continue
				}
				c.Start(&testLink{})
				if level == (slog.Leveler(nil)) {
					for i, topic := range []string{"room:a", "loud:a", "quiet:a", "phoenix:a"} {
						for _, frame := range []string{`["%d","1","%s","phx_join",{"n":1}]`, `["%[1]d","2","%[2]s","ping",{"n":2}]`} {
							require.Nil(t, c.Receive(false, fmt.Appendf(nil, frame, i, topic)))
							time.Sleep(3 * time.Second)
						}
					}
					require.Nil(t, c.Receive(false, []byte(`["9","1","room:b","phx_join",{"do":"refuse"}]`)))
					time.Sleep(3 * time.Second)
				}
			}
		}
		const who = ` remote=192.0.2.1:7 id=users:bob params=`
		const in = ` topic=%s channel=channel.script` + who + `"{\"n\":%d}"`
		require.Equal(t, []string{
			`level=INFO msg="channel: connected" handler=UserSocket duration=0s transport=test serializer=2.0 remote=192.0.2.1:7 id=users:bob params="{\"as\":\"bob\",\"vsn\":\"2.0.0\"}"`,
			`level=INFO msg="channel: joined"` + fmt.Sprintf(in, "room:a", 1) + ` duration=2s`,
			`level=DEBUG msg="channel: handled"` + fmt.Sprintf(in, "room:a", 2) + ` event=ping duration=2s`,
			`level=WARN msg="channel: joined"` + fmt.Sprintf(in, "loud:a", 1) + ` duration=2s`,
			`level=INFO msg="channel: handled"` + fmt.Sprintf(in, "loud:a", 2) + ` event=ping duration=2s`,
			`level=INFO msg="channel: refused join" topic=room:b channel=channel.script` + who + `"{\"do\":\"refuse\"}" duration=2s response="{\"reason\":\"no\"}"`,
			`level=INFO msg="channel: refused connection" handler=UserSocket duration=0s transport=test serializer=2.0 remote=192.0.2.1:7 id="" params="{\"as\":\"eve\",\"vsn\":\"2.0.0\"}" error="channel: connection refused with 403: not her"`,
			`level=ERROR msg="channel: connected" handler=UserSocket duration=0s transport=test serializer=2.0 remote=192.0.2.1:7 id=users:bob params="{\"as\":\"bob\",\"vsn\":\"2.0.0\"}"`,
			`level=ERROR msg="channel: refused connection" handler=UserSocket duration=0s transport=test serializer=2.0 remote=192.0.2.1:7 id="" params="{\"as\":\"eve\",\"vsn\":\"2.0.0\"}" error="channel: connection refused with 403: not her"`,
		}, strings.Split(strings.TrimSpace(text.String()), "\n"))
	})
}
