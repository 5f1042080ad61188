package serve

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func request(t *testing.T, origin string) *http.Request {
	r, err := http.NewRequest(http.MethodGet, "http://served.example:4000/socket/websocket", nil)
	require.NoError(t, err)
	r.Header.Set("Origin", origin)
	return r
}

func TestFlagsDefaultToOneReplicaOnLoopbackForItsOwnPages(t *testing.T) {
	s, err := parse(App{Name: "test"}, nil, io.Discard)
	require.NoError(t, err)
	require.Equal(t, "127.0.0.1:4000", s.listen)
	require.Equal(t, slog.LevelInfo, s.logLevel)
	require.Empty(t, s.adminListen+s.nats+s.clusterListen+s.name)
	require.Zero(t, s.buckets)
	require.Equal(t, defaultShutdownTimeout, s.shutdownTimeout)
	require.Equal(t, 500, s.messageRate)
	require.True(t, s.origins.Allows(request(t, "http://served.example:4000")))
	require.False(t, s.origins.Allows(request(t, "https://elsewhere.example")))
}

func TestFlagsWhoHasJustConnectedMaySendSoManyMessages(t *testing.T) {
	for rate, start := range map[int]int{1: 2, 50: 100, 100: 200, defaultMessageRate: 200, 1000: 400, maxMessageRate: 400_000_000} {
		require.Equal(t, start, (&settings{messageRate: rate}).messageStart(), rate)
	}
}

func TestFlagsListsMayBeGivenInPartsAndWithSpaces(t *testing.T) {
	s, err := parse(App{Name: "test"}, []string{"--cluster-listen=:6222", "--routes", "a:1, b:2,", "--routes=c:3"}, io.Discard)
	require.NoError(t, err)
	require.Equal(t, []string{"a:1", "b:2", "c:3"}, s.routes)
}

func TestFlagsOriginsReplaceTheDefault(t *testing.T) {
	tests := []struct {
		list    string
		allowed []string
		refused []string
	}{
		{"*", []string{"https://any.example", "null"}, nil},
		{"https://a.example, //*.b.example", []string{"https://a.example", "http://x.b.example:88"}, []string{"http://a.example", "http://served.example:4000"}},
	}
	for _, test := range tests {
		s, err := parse(App{Name: "test"}, []string{"--allow-origin", test.list}, io.Discard)
		require.NoError(t, err)
		for _, origin := range test.allowed {
			require.True(t, s.origins.Allows(request(t, origin)), origin)
		}
		for _, origin := range test.refused {
			require.False(t, s.origins.Allows(request(t, origin)), origin)
		}
	}
}

func TestFlagsThatCannotBeAreNamedWithWhatIsAllowed(t *testing.T) {
	tests := []struct {
		name string
		args string
		want []string
	}{
		{"unknown", "--port 1", []string{"--port"}},
		{"no value", "--listen", []string{"--listen", "needs an argument"}},
		{"an argument", "now", []string{`unexpected argument "now"`}},
		{"address without port", "--listen localhost", []string{`--listen "localhost"`, "host:port"}},
		{"port too large", "--listen :65536", []string{`--listen ":65536"`, "0 to 65535"}},
		{"admin address without port", "--admin-listen localhost", []string{`--admin-listen "localhost"`, "host:port"}},
		{"admin port too large", "--admin-listen :65536", []string{`--admin-listen ":65536"`, "0 to 65535"}},
		{"one address for both", "--listen :4000 --admin-listen :4000", []string{`--admin-listen ":4000"`, "that of --listen"}},
		{"no messages", "--message-rate 0", []string{"--message-rate 0", "1 to"}},
		{"connections", "--max-connections -1", []string{"--max-connections -1", "negative"}},
		{"connections of an address", "--max-connections-per-address -1", []string{"--max-connections-per-address -1", "negative"}},
		{"header of nothing", "--address-header X-Forwarded-For", []string{"--address-header is for --max-connections-per-address"}},
		{"log level", "--log-level loud", []string{`"loud"`, "--log-level", "debug, info, warn or error"}},
		{"log format", "--log-format xml", []string{`"xml"`, "--log-format", "text or json"}},
		{"origin", "--allow-origin example.com", []string{"--allow-origin", `"example.com"`, "//host"}},
		{"no origin at all", "--allow-origin=,", []string{"--allow-origin", "no page at all"}},
		{"star among origins", "--allow-origin=*,//a", []string{"--allow-origin", `"*"`}},
		{"timeout", "--shutdown-timeout 0s", []string{"--shutdown-timeout 0s", "positive"}},
		{"timeout without unit", "--shutdown-timeout 15", []string{`"15"`, "--shutdown-timeout"}},
		{"routes alone", "--routes h:1", []string{"--routes needs --cluster-listen"}},
		{"two NATS", "--nats nats://h --cluster-listen :1", []string{"--cluster-listen", "--nats"}},
		{"too many buckets", "--buckets 65537", []string{"--buckets 65537", "0 to 65536"}},
		{"long name", "--name " + strings.Repeat("x", 256), []string{"--name", "255 bytes"}},
		{"several at once", "--listen x --shutdown-timeout -1s --routes h:1 --level x", []string{"--level"}},
		{"several faults at once", "--listen x --admin-listen y --shutdown-timeout -1s --routes h:1", []string{"--listen", "--admin-listen", "--shutdown-timeout", "--routes", "the app's own"}},
	}
	app := App{Name: "test", Check: func() error { return errors.New("the app's own") }}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := parse(app, strings.Fields(test.args), io.Discard)
			var usage *UsageError
			require.ErrorAs(t, err, &usage)
			for _, want := range test.want {
				require.ErrorContains(t, err, want)
			}
			require.NotRegexp(t, `(^|\s)-[a-z]`, err.Error(), "flags are named as they are in the help")
		})
	}
}

func TestHelpNamesEveryFlagOfTheAppToo(t *testing.T) {
	var out bytes.Buffer
	app := App{Name: "test", Synopsis: "Usage: test [flags]", Flags: func(fs *flag.FlagSet) { fs.Int("seats", 7, "the `number` of seats") }}
	_, err := parse(app, []string{"--help"}, &out)
	require.ErrorIs(t, err, flag.ErrHelp)
	require.True(t, strings.HasPrefix(out.String(), "Usage: test [flags]\n\nFlags:\n"))
	for _, name := range []string{"listen", "admin-listen", "name", "nats", "cluster-listen", "routes", "allow-origin", "log-level", "log-format", "shutdown-timeout"} {
		require.Contains(t, out.String(), "\n  --"+name+" ")
	}
	require.Contains(t, out.String(), "  --seats NUMBER\n        the number of seats (default 7)\n")
	require.Contains(t, out.String(), "(default 127.0.0.1:4000)")
}

func TestDefaultNameIsTheHostsAndThePort(t *testing.T) {
	host, err := os.Hostname()
	require.NoError(t, err)
	require.Equal(t, host+"-4000", defaultName(&net.TCPAddr{IP: net.IPv4zero, Port: 4000}))
	require.Equal(t, host+"-"+strconv.Itoa(4001), defaultName(&net.TCPAddr{Port: 4001}))
}

func TestURLIsOneThatABrowserCanOpen(t *testing.T) {
	for _, test := range []struct{ address, want string }{
		{"127.0.0.1:0", "http://127.0.0.1:"},
		{":0", "http://localhost:"},
		{"0.0.0.0:0", "http://localhost:"},
	} {
		l, err := net.Listen("tcp", test.address)
		require.NoError(t, err)
		port := l.Addr().(*net.TCPAddr).Port
		l.Close()
		require.Equal(t, test.want+strconv.Itoa(port), urlOf(l.Addr()))
	}
}
