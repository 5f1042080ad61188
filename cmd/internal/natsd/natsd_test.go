package natsd

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/transport/natsbus"
)

// waitLimit bounds every wait for an event in these tests.
const waitLimit = 20 * time.Second

func start(t *testing.T, cfg Config) *Server {
	t.Helper()
	s, err := Start(cfg)
	require.NoError(t, err)
	t.Cleanup(s.Shutdown)
	return s
}

func connect(t *testing.T, s *Server) *nats.Conn {
	t.Helper()
	nc, err := s.Conn()
	require.NoError(t, err)
	t.Cleanup(func() { closeConn(nc) })
	return nc
}

// closeConn closes a connection and waits for the last of its goroutines.
func closeConn(nc *nats.Conn) {
	if nc.IsClosed() {
		return
	}
	done := make(chan struct{})
	nc.SetClosedHandler(func(*nats.Conn) { close(done) })
	nc.Close()
	<-done
}

// reaches waits until a message from one connection gets to the other, and
// fails if it does not.
func reaches(t *testing.T, from, to *nats.Conn) {
	t.Helper()
	sub, err := to.SubscribeSync("hello")
	require.NoError(t, err)
	require.NoError(t, to.Flush())
	require.Eventually(t, func() bool {
		if from.Publish("hello", []byte("x")) != nil {
			return false
		}
		_, err := sub.NextMsg(10 * time.Millisecond)
		return err == nil
	}, waitLimit, time.Millisecond)
	require.NoError(t, sub.Unsubscribe())
}

func TestAloneItHasNoPort(t *testing.T) {
	s := start(t, Config{})
	require.Nil(t, s.ns.Addr())
	require.Empty(t, s.ClusterAddr())
	require.Zero(t, s.OtherServers())
	a, b := connect(t, s), connect(t, s)
	reaches(t, a, b)
	bus, err := natsbus.New(a, natsbus.Config{})
	require.NoError(t, err, "it is what natsbus wants")
	require.Equal(t, 1<<20-1, bus.MaxPayload())
	require.NoError(t, bus.Close())
}

func TestTwoServersDeliverAcrossTheRouteAlsoAfterOneRestarts(t *testing.T) {
	listenA, listenB := freeAddress(t), freeAddress(t)
	routes := []string{listenA, "nats://" + listenB}
	a := start(t, Config{ClusterListen: listenA, Routes: routes})
	b := start(t, Config{ClusterListen: listenB, Routes: routes})
	require.Equal(t, listenA, a.ClusterAddr())
	ca, cb := connect(t, a), connect(t, b)
	reaches(t, ca, cb)
	reaches(t, cb, ca)
	require.Equal(t, 1, a.OtherServers())
	require.Empty(t, ca.DiscoveredServers(), "ports on loopback are nobody else's business")

	closeConn(cb)
	b.Shutdown()
	require.Eventually(t, func() bool { return a.OtherServers() == 0 }, waitLimit, time.Millisecond)
	for _, who := range []struct{ listen, name string }{{listenB, "b"}, {listenA, "a"}} {
		if who.name == "a" { // now the other one, with b running
			closeConn(ca)
			a.Shutdown()
		}
		restarted := start(t, Config{ClusterListen: who.listen, Routes: routes})
		again := connect(t, restarted)
		if who.name == "b" {
			b, cb = restarted, again
		} else {
			a, ca = restarted, again
		}
		reaches(t, ca, cb)
		reaches(t, cb, ca)
	}
	require.Equal(t, 1, b.OtherServers())
}

// lines are those of a log that contain what.
func lines(log *syncBuffer, what string) (found []string) {
	for line := range strings.Lines(log.String()) {
		if strings.Contains(line, what) {
			found = append(found, line)
		}
	}
	return found
}

func TestAReplicaThatIsNotUpYetIsAWarningOnceAndNoError(t *testing.T) {
	listenA, listenB := freeAddress(t), freeAddress(t)
	routes := []string{listenA, listenB}
	var log syncBuffer
	start(t, Config{ClusterListen: listenA, Routes: routes, Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	warned := func(times int) func() bool {
		return func() bool { return len(lines(&log, `level=WARN msg="another replica is not reached`)) == times }
	}
	// A reaches b by itself, besides being reached by it.
	created := regexp.MustCompile(regexp.QuoteMeta(listenB) + ` - rid:\d+ - Route connection created`)
	dialled := func() int { return len(created.FindAllString(log.String(), -1)) }
	for times := 1; times <= 2; times++ {
		require.Eventually(t, warned(times), waitLimit, time.Millisecond, "not up yet, then gone: %s", &log)
		before := dialled()
		b := start(t, Config{ClusterListen: listenB, Routes: routes})
		require.Eventually(t, func() bool { return dialled() > before }, waitLimit, time.Millisecond, "%s", &log)
		require.True(t, warned(times)(), log.String())
		require.True(t, warned(times)(), log.String())
		b.Shutdown()
	}
	require.Eventually(t, warned(3), waitLimit, time.Millisecond, "%s", &log)
	for _, line := range lines(&log, "not reached") {
		require.Contains(t, line, "dial tcp "+listenB+": ")
	}
	require.Empty(t, lines(&log, "level=ERROR"))
}

func TestRoutesThatAreNotReachedAreToldOfOnceEachAndOtherErrorsAlways(t *testing.T) {
	const failed = "Error trying to connect to route (attempt %v): %v"
	refused := func(address string) error {
		addr, err := net.ResolveTCPAddr("tcp", address)
		require.NoError(t, err)
		return &net.OpError{Op: "dial", Net: "tcp", Addr: addr, Err: syscall.ECONNREFUSED}
	}
	unknown := errors.New(`lookup for host "h": no such host`)
	var log syncBuffer
	l := newLogger(slog.New(slog.NewTextHandler(&log, nil)))
	for attempt := range 3 {
		for _, err := range []error{refused("127.0.0.1:1"), refused("127.0.0.1:2"), unknown} {
			l.Errorf(failed, attempt, err)
		}
	}
	require.Len(t, lines(&log, "level=WARN"), 3)
	l.Noticef("127.0.0.1:2 - rid:7 - Route connection created")
	l.Errorf(failed, 1, refused("127.0.0.1:1"))
	l.Errorf(failed, 1, refused("127.0.0.1:2"))
	require.Len(t, lines(&log, "level=WARN"), 4)
	require.Len(t, lines(&log, "127.0.0.1:2:"), 2)
	require.Empty(t, lines(&log, "level=ERROR"))
	for range 2 {
		l.Errorf("Error marshaling CONNECT to route: %v", unknown)
	}
	require.Len(t, lines(&log, "level=ERROR"), 2)
}

func TestOneListedRouteIsEnoughForThree(t *testing.T) {
	a := start(t, Config{ClusterListen: "127.0.0.1:0"})
	seed := []string{a.ClusterAddr()}
	b := start(t, Config{ClusterListen: "127.0.0.1:0", Routes: seed})
	c := start(t, Config{ClusterListen: "127.0.0.1:0", Routes: seed})
	reaches(t, connect(t, b), connect(t, c))
	require.Eventually(t, func() bool { return a.OtherServers() == 2 && b.OtherServers() == 2 && c.OtherServers() == 2 }, waitLimit, time.Millisecond)
}

func TestTheClientPortOfAClusterIsOnLoopbackAndLocked(t *testing.T) {
	s := start(t, Config{ClusterListen: "127.0.0.1:0"})
	require.True(t, s.ns.Addr().(*net.TCPAddr).IP.IsLoopback())
	_, err := nats.Connect(s.ns.ClientURL())
	require.ErrorIs(t, err, nats.ErrAuthorization)
}

func TestATakenPortIsAnErrorAtOnce(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	var log syncBuffer
	begin := time.Now()
	s, err := Start(Config{ClusterListen: taken.Addr().String(), Logger: slog.New(slog.NewTextHandler(&log, nil))})
	require.Nil(t, s)
	require.ErrorIs(t, err, ErrStart)
	require.ErrorIs(t, err, syscall.EADDRINUSE)
	require.ErrorContains(t, err, taken.Addr().String())
	require.Less(t, time.Since(begin), startTimeout/2, "not by waiting")
	require.Contains(t, log.String(), "level=ERROR")
}

func TestWrongConfigurationsAreNamed(t *testing.T) {
	tests := []struct {
		name string
		cfg  Config
		want []string
	}{
		{"routes alone", Config{Routes: []string{"h:1"}}, []string{`routes ["h:1"] without an address`}},
		{"no port", Config{ClusterListen: "127.0.0.1"}, []string{`cluster listen address "127.0.0.1": missing port`}},
		{"bad port", Config{ClusterListen: "127.0.0.1:nats"}, []string{`invalid port "nats"`}},
		{"large port", Config{ClusterListen: "127.0.0.1:65536"}, []string{`invalid port "65536"`}},
		{"several", Config{ClusterListen: "x", Routes: []string{"", "h", ":1", "h:0", "http://h:1", "nats://h:1/x", "a b:1", "nats://u:geheim@h:1"}},
			[]string{`listen address "x"`, `route ""`, `route "h"`, `route ":1": no host`, `route "h:0": port must not be 0`, `unknown scheme "http"`, `route "nats://h:1/x"`, `route "a b:1"`, `route "nats://***@h:1"`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := Start(tt.cfg)
			require.Nil(t, s)
			require.ErrorIs(t, err, ErrConfig)
			for _, want := range tt.want {
				require.ErrorContains(t, err, want)
			}
			require.NotContains(t, err.Error(), "geheim")
		})
	}
}

func TestAnAddressThatIsNotOursIsAnError(t *testing.T) {
	_, err := Start(Config{ClusterListen: "192.0.2.1:0"}) // TEST-NET-1
	require.ErrorIs(t, err, ErrStart)
	require.ErrorContains(t, err, "192.0.2.1")
}

func TestDial(t *testing.T) {
	s := start(t, Config{ClusterListen: "127.0.0.1:0"})
	address := s.ns.Addr().String()
	nc, err := Dial("nats://"+s.secret+"@"+address, nats.Name("mine"))
	require.NoError(t, err)
	defer closeConn(nc)
	require.Equal(t, "mine", nc.Opts.Name)
	bus, err := natsbus.New(nc, natsbus.Config{})
	require.NoError(t, err)
	require.NoError(t, bus.Close())

	nobody := freeAddress(t)
	tests := []struct {
		url  string
		is   error
		want string
	}{
		{"nats://" + nobody, ErrDial, "at nats://" + nobody},
		{"nats://u:geheim@" + nobody, ErrDial, "at nats://***@" + nobody},
		{"nats://geheim@" + address, ErrDial, "Authorization Violation"},
		{"nats://" + nobody + ", nats://" + nobody, ErrDial, "nats://" + nobody + ", nats://" + nobody},
		{"", ErrConfig, `URL ""`},
		{"localhost:4222", ErrConfig, `URL "localhost:4222"`},
		{"http://h", ErrConfig, `unknown scheme "http"`},
		{"nats://", ErrConfig, "no host"},
		{"nats://u:geheim@h:port", ErrConfig, "invalid port"},
		{"nats://u:geheim@\x00h", ErrConfig, "invalid control character"},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%q", tt.url), func(t *testing.T) {
			nc, err := Dial(tt.url)
			require.Nil(t, nc)
			require.ErrorIs(t, err, tt.is)
			require.ErrorContains(t, err, tt.want)
			require.NotContains(t, err.Error(), "geheim")
		})
	}
}

func TestShutdownTwice(t *testing.T) {
	s := start(t, Config{})
	s.Shutdown()
	s.Shutdown()
	_, err := s.Conn()
	require.Error(t, err)
}

// freeAddress is a loopback address at which nobody listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

// A syncBuffer is a log that may be read while it is written to.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
