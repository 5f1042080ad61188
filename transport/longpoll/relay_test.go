package longpoll

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/bus"
	"github.com/rollcall-go/rollcall/channel/wire"
	"github.com/rollcall-go/rollcall/transport/membus"
	"github.com/rollcall-go/rollcall/transport/natsbus"
)

// Two replicas: home has the client's session, away is asked.
type pair struct {
	home, away       *replica
	homeBus, awayBus *membus.Bus
	token            string
}

func inPair(t *testing.T, cfg Config, run func(t *testing.T, p *pair), opts ...membus.Option) {
	synctest.Test(t, func(t *testing.T) {
		net := membus.New(opts...)
		p := &pair{homeBus: net.Bus(), awayBus: net.Bus()}
		cfg.Secret = testSecret
		cfg.Bus = p.homeBus
		p.home = start(t, cfg)
		cfg.Bus = p.awayBus
		p.away = start(t, cfg)
		p.token = connect(t, p.home)
		run(t, p)
	})
}

// B105.
func TestASessionIsReachedFromAnotherReplica(t *testing.T) {
	inPair(t, Config{}, func(t *testing.T, p *pair) {
		require.Equal(t, 200, post(p.away, p.token, "[1]", "AAEC").Status)
		require.Equal(t, 200, do(t.Context(), p.away, "POST", "/", "{}", "X-Phoenix-Longpoll-Token: "+p.token).Status)
		require.Equal(t, []string{"text [1]", "binary \x00\x01\x02", "text {}"}, p.home.last().got())

		p.home.last().send("one")
		p.home.last().send("two")
		a := get(p.away, p.token)
		require.Equal(t, []string{"one", "two"}, a.Messages)
		require.Equal(t, p.token, a.Token)

		begin := time.Now()
		polled := asyncGet(t.Context(), p.away, p.token)
		time.Sleep(7 * time.Second)
		p.home.last().send("three")
		require.Equal(t, []string{"three"}, (<-polled).Messages)
		require.Equal(t, 7*time.Second, time.Since(begin))
		require.Equal(t, 204, get(p.away, p.token).Status)
		require.Equal(t, 17*time.Second, time.Since(begin))

		time.Sleep(14 * time.Second)
		p.home.last().send("four")
		require.Equal(t, []string{"four"}, get(p.home, p.token).Messages, "it was polled from away")
		require.EqualValues(t, 5, p.away.Stats().Relayed)
		require.EqualValues(t, 5, p.home.Stats().Served)
		require.Zero(t, p.away.Stats().Unanswered)
		require.Zero(t, p.away.Stats().Accepted)
	})
}

// B106 and B110, from elsewhere.
func TestPollsOfTwoReplicasTakeOverFromEachOther(t *testing.T) {
	inPair(t, Config{}, func(t *testing.T, p *pair) {
		for _, order := range [][2]*replica{{p.home, p.away}, {p.away, p.home}, {p.away, p.away}} {
			begin := time.Now()
			first := asyncGet(t.Context(), order[0], p.token)
			synctest.Wait()
			second := asyncGet(t.Context(), order[1], p.token)
			synctest.Wait()
			p.home.last().send("x")
			require.Equal(t, []string{"x"}, (<-second).Messages)
			require.Zero(t, time.Since(begin))
			require.Equal(t, 204, (<-first).Status)
			require.Equal(t, 10*time.Second, time.Since(begin))
		}
		time.Sleep(5*time.Second - 1) // of the 15 s since the later poll ended
		synctest.Wait()
		require.Equal(t, 1, p.home.Stats().Sessions)
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		require.Zero(t, p.home.Stats().Sessions)
		require.Equal(t, 410, post(p.away, p.token, "[]").Status)
		a := get(p.away, p.token)
		require.Equal(t, 410, a.Status)
		require.EqualValues(t, 1, p.away.Stats().Accepted, "the new session is where the client is")
		require.Equal(t, 200, post(p.away, a.Token, "[]").Status)
	})
}

func TestWhatEndsASessionEndsItFromElsewhereToo(t *testing.T) {
	inPair(t, Config{}, func(t *testing.T, p *pair) {
		p.home.receive = func(bool, []byte) *wire.Close { return &wire.Close{Code: wire.CloseInternal} }
		token := connect(t, p.home)
		require.JSONEq(t, `{"status":408}`, post(p.away, token, "[bad]").Body)
		require.Equal(t, 410, post(p.away, token, "[]").Status)
		p.home.receive = func(bool, []byte) *wire.Close { panic("boom") }
		require.Equal(t, 408, post(p.away, connect(t, p.home), "[]").Status)

		polled := asyncGet(t.Context(), p.away, p.token)
		synctest.Wait()
		p.home.conns[0].link.Close(wire.CloseGoingAway, "")
		require.Equal(t, 410, (<-polled).Status)
	})
}

// B105: 2 s.
func TestAReplicaThatDoesNotAnswerMakesItsSessionsGone(t *testing.T) {
	for _, what := range []string{"cut off", "away is cut off", "closed"} {
		t.Run(what, func(t *testing.T) {
			inPair(t, Config{}, func(t *testing.T, p *pair) {
				limit := 2 * time.Second
				switch what {
				case "cut off":
					p.homeBus.Disconnect()
				case "away is cut off":
					p.awayBus.Disconnect()
					limit = 0
				case "closed":
					closeTransport(t, p.home.Transport)
				}
				begin := time.Now()
				require.Equal(t, 410, post(p.away, p.token, "[]").Status)
				require.Equal(t, limit, time.Since(begin))
				a := get(p.away, p.token)
				require.Equal(t, 410, a.Status)
				require.Equal(t, 2*limit, time.Since(begin))
				require.Equal(t, 200, post(p.away, a.Token, "[]").Status)
				require.EqualValues(t, 2, p.away.Stats().Unanswered)
			})
		})
	}
}

// As when a route between NATS servers is reset.
func TestAReplicaThatIsHiddenForASecondIsAskedAgain(t *testing.T) {
	inPair(t, Config{}, func(t *testing.T, p *pair) {
		p.homeBus.Disconnect()
		go func() {
			time.Sleep(time.Second)
			p.homeBus.Reconnect()
		}()
		require.Equal(t, 200, post(p.away, p.token, "[1]").Status)
		require.Equal(t, []string{"text [1]"}, p.home.last().got())
	})
}

// Nothing is lost silently: the client learns that its session is gone, and the
// session ends as soon as its replica can be told, not when it was not polled for
// long.
func TestAnAnswerThatIsLostEndsTheSession(t *testing.T) {
	for _, test := range []struct {
		name string
		down func() // between the loss of the connection and its return
	}{
		{"connection returns at once", func() {}},
		{"connection returns later", synctest.Wait},
	} {
		t.Run(test.name, func(t *testing.T) {
			inPair(t, Config{}, func(t *testing.T, p *pair) {
				polled := asyncGet(t.Context(), p.away, p.token)
				synctest.Wait()
				p.awayBus.Disconnect()
				p.home.last().send("lost")
				test.down()
				p.awayBus.Reconnect()
				require.Equal(t, 410, (<-polled).Status)
				synctest.Wait()
				require.Equal(t, 1, len(p.home.last().closedWith()))
				require.EqualValues(t, 1, p.home.Stats().Lost)
				require.Zero(t, p.home.Stats().Sessions)
			})
		})
	}
}

func TestDropsOwedToOtherReplicasAreBounded(t *testing.T) {
	inPair(t, Config{MaxSessions: 3}, func(t *testing.T, p *pair) {
		p.awayBus.Disconnect()
		for range 5 {
			p.away.relay.forsake(token{replica: p.home.self})
		}
		require.Len(t, p.away.relay.owed, 3)
		p.awayBus.Reconnect()
		synctest.Wait()
		require.Empty(t, p.away.relay.owed)
	})
}

func TestAPollIsGoneAtOnceWhenTheBusHasLostSomething(t *testing.T) {
	inPair(t, Config{}, func(t *testing.T, p *pair) {
		begin := time.Now()
		polled := asyncGet(t.Context(), p.away, p.token)
		synctest.Wait()
		p.away.relay.event(bus.Lost, "") // as after an overflow
		require.Equal(t, 410, (<-polled).Status)
		require.Zero(t, time.Since(begin))
		synctest.Wait()
		require.Zero(t, p.home.Stats().Sessions)
	})
}

func TestAnAnswerThatNobodyWaitsForEndsTheSession(t *testing.T) {
	inPair(t, Config{}, func(t *testing.T, p *pair) {
		c := p.home.onlyClient(t)
		late := wireMessage{kind: kindAnswer, client: c.id, status: answerMessages, last: true, data: appendMessage(nil, []byte("x"))}
		require.NoError(t, p.home.relay.send(p.away.self, late))
		synctest.Wait()
		require.True(t, c.isEnded())
	})
}

func TestAPollThatIsHungUpElsewhereTakesNoMessages(t *testing.T) {
	inPair(t, Config{}, func(t *testing.T, p *pair) {
		ctx, cancel := context.WithCancel(t.Context())
		polled := asyncGet(ctx, p.away, p.token)
		synctest.Wait()
		require.True(t, p.home.onlyClient(t).isPolled())
		cancel()
		<-polled
		synctest.Wait()
		require.False(t, p.home.onlyClient(t).isPolled())
		p.home.last().send("kept")
		require.Equal(t, []string{"kept"}, get(p.away, p.token).Messages)
	})
}

func TestCloseOfEitherReplicaAnswersPolls(t *testing.T) {
	inPair(t, Config{}, func(t *testing.T, p *pair) {
		overtaken := asyncGet(t.Context(), p.away, p.token)
		synctest.Wait()
		polled := asyncGet(t.Context(), p.away, p.token)
		synctest.Wait()
		begin := time.Now()
		closeTransport(t, p.home.Transport)
		require.Equal(t, 410, (<-polled).Status)
		require.Equal(t, 204, (<-overtaken).Status)
		require.Zero(t, time.Since(begin))
	})
	inPair(t, Config{}, func(t *testing.T, p *pair) {
		polled := asyncGet(t.Context(), p.away, p.token)
		synctest.Wait()
		closeTransport(t, p.away.Transport)
		require.Equal(t, 503, (<-polled).HTTP)
		synctest.Wait()
		require.False(t, p.home.onlyClient(t).isPolled(), "it is told")
	})
}

// Messages and batches that are larger than one message of the bus.
func TestMuchIsPassedOnInParts(t *testing.T) {
	inPair(t, Config{}, func(t *testing.T, p *pair) {
		large := "[" + strings.Repeat("x", 1900)
		require.Equal(t, 200, post(p.away, p.token, large, "[1]", large, large).Status)
		require.Equal(t, []string{"text " + large, "text [1]", "text " + large, "text " + large}, p.home.last().got())
		require.EqualValues(t, 3, p.away.Stats().Relayed, "what fits goes together")
		require.Equal(t, 400, post(p.away, p.token, large+strings.Repeat("x", 200)).HTTP)
		require.Equal(t, 400, post(p.home, p.token, large+strings.Repeat("x", 200)).HTTP, "and so everywhere")

		huge := strings.Repeat("y", 50_000)
		p.home.last().send(huge)
		p.home.last().send("small")
		require.Equal(t, []string{huge, "small"}, get(p.away, p.token).Messages)
	}, membus.MaxPayload(2000))
}

func TestGarbageOnTheBusIsCountedAndIgnored(t *testing.T) {
	inPair(t, Config{}, func(t *testing.T, p *pair) {
		c := p.home.onlyClient(t)
		dest := p.home.self.dest()
		for _, data := range []string{"", "garbage", string([]byte{wireMagic, 9})} {
			require.NoError(t, p.away.relay.conn.Publish(dest, []byte(data)))
		}
		require.NoError(t, p.away.relay.send(p.home.self, wireMessage{kind: kindPublish, client: c.id, data: []byte{7}}))
		synctest.Wait()
		require.EqualValues(t, 4, p.home.Stats().Garbage)
		require.False(t, c.isEnded())
		require.Empty(t, p.home.last().got())
	})
}

func TestTwoTransportsOfOneBusNeedTwoLanes(t *testing.T) {
	shared := membus.New().Bus()
	one := start(t, Config{Bus: shared, Secret: testSecret})
	cfg, err := Config{Bus: shared, Secret: testSecret}.prepare()
	require.NoError(t, err)
	_, err = newTransport(nil, nil, cfg)
	require.ErrorIs(t, err, bus.ErrLaneOpen)
	two := start(t, Config{Bus: shared, Secret: testSecret, Lane: 'm'})
	require.Equal(t, 200, post(one, connect(t, one), "[]").Status)
	require.Equal(t, 200, post(two, connect(t, two), "[]").Status)
}

// natsBus is a bus over a connection of its own, closed with the test.
func natsBus(t *testing.T, s *server.Server) bus.Bus {
	t.Helper()
	nc, err := nats.Connect(s.ClientURL(), natsbus.Options()...)
	require.NoError(t, err)
	b, err := natsbus.New(nc, natsbus.Config{})
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, b.Close())
		closed := make(chan struct{})
		nc.SetClosedHandler(func(*nats.Conn) { close(closed) })
		nc.Close()
		<-closed
	})
	return b
}

func TestOverNATSASessionIsReachedFromAnotherReplica(t *testing.T) {
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, NoSigs: true, NoLog: true})
	require.NoError(t, err)
	go s.Start()
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	require.True(t, s.ReadyForConnections(20*time.Second))
	home := start(t, Config{Secret: testSecret, Bus: natsBus(t, s)})
	away := start(t, Config{Secret: testSecret, Bus: natsBus(t, s), RelayTimeout: 20 * time.Second})
	token := connect(t, home)
	require.Equal(t, 200, post(away, token, "[1]", "AAEC").Status)
	require.Equal(t, []string{"text [1]", "binary \x00\x01\x02"}, home.last().got())

	polled := asyncGet(t.Context(), away, token)
	require.Eventually(t, home.onlyClient(t).isPolled, 20*time.Second, time.Millisecond)
	home.last().send("hello")
	require.Equal(t, []string{"hello"}, (<-polled).Messages)

	huge := strings.Repeat("y", 3<<20)
	home.last().send(huge)
	require.Equal(t, []string{huge}, get(away, token).Messages)

	home.last().link.Close(wire.CloseGoingAway, "")
	require.Equal(t, 410, post(away, token, "[]").Status)
	require.Equal(t, 410, get(away, token).Status)
}
