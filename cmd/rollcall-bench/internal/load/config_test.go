package load

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func valid(mode string) Config { return Config{Mode: mode, Self: true, Command: []string{"server"}} }

func TestDefaultsOfEveryModeAreValid(t *testing.T) {
	for _, mode := range Modes {
		c := valid(mode)
		require.NoError(t, c.Validate(), mode)
	}
}

func TestFanoutStepsAreTheGivenOnesOrTheDefault(t *testing.T) {
	steps := func(c Config) ([]int, float64) { c = c.withDefaults(); return c.Windows, c.Rate }
	for _, test := range []struct {
		windows     []int
		rate        float64
		wantWindows []int
		wantRate    float64
	}{
		{nil, 0, []int{1, 8, 32}, 20},
		{[]int{4}, 0, []int{4}, 0},
		{nil, 7, nil, 7},
		{[]int{4}, 7, []int{4}, 7},
	} {
		windows, rate := steps(Config{Mode: "fanout", Windows: test.windows, Rate: test.rate})
		require.Equal(t, test.wantWindows, windows)
		require.Equal(t, test.wantRate, rate)
	}
}

func TestConfigFaultsNameTheFlag(t *testing.T) {
	tests := []struct {
		name string
		mode string
		edit func(*Config)
		want []string
	}{
		{"mode", "idle", func(*Config) {}, []string{`unknown mode "idle"`, "conns, fanout, presence, remote, kill, fresh, hostile"}},
		{"no server", "conns", func(c *Config) { c.Self = false }, []string{"--self", "--url for each of 1 servers"}},
		{"one server of two", "remote", func(c *Config) { c.Self, c.URLs = false, []string{"http://127.0.0.1:1"} }, []string{"--url for each of 2 servers"}},
		{"both", "conns", func(c *Config) { c.URLs = []string{"http://127.0.0.1:1"} }, []string{"--self starts the servers"}},
		{"no command", "conns", func(c *Config) { c.Command = nil }, []string{"no command"}},
		{"kill what runs", "kill", func(c *Config) { c.Self, c.URLs = false, []string{"http://127.0.0.1:1"} }, []string{"kill needs --self"}},
		{"a fresh one of what runs", "fresh", func(c *Config) { c.Self, c.URLs = false, []string{"http://127.0.0.1:1"} }, []string{"fresh needs --self"}},
		{"room of kill", "kill", func(c *Config) { c.PerTopic = 1001 }, []string{"--per-topic 1001"}},
		{"elsewhere", "conns", func(c *Config) { c.Self, c.URLs = false, []string{"http://192.0.2.1:1"} }, []string{"--url", "127.0.0.0/8"}},
		{"a name", "conns", func(c *Config) { c.Self, c.URLs = false, []string{"http://example.com:1"} }, []string{"--url", "127.0.0.0/8"}},
		{"no port", "conns", func(c *Config) { c.Self, c.URLs = false, []string{"http://127.0.0.1"} }, []string{"--url", "a port"}},
		{"scheme", "conns", func(c *Config) { c.Self, c.URLs = false, []string{"https://127.0.0.1:1"} }, []string{"--url", "http:// or ws://"}},
		{"no process", "conns", func(c *Config) {
			c.Self, c.URLs, c.PIDs = false, []string{"http://127.0.0.1:1"}, []int{1 << 30}
		}, []string{"--pid 1073741824"}},
		{"too many processes", "conns", func(c *Config) {
			c.Self, c.URLs, c.PIDs = false, []string{"http://127.0.0.1:1"}, []int{os.Getpid(), os.Getpid()}
		}, []string{"--pid: 2 given", "1 --url"}},
		{"clients", "presence", func(c *Config) { c.Clients = 20_001 }, []string{"--clients 20001", "1 to 20000"}},
		{"negative clients", "conns", func(c *Config) { c.Clients = -1 }, []string{"--clients -1"}},
		{"window", "fanout", func(c *Config) { c.Windows = []int{1, 1025} }, []string{"--window 1025", "1 to 1024"}},
		{"rate", "fanout", func(c *Config) { c.Rate = -1 }, []string{"--rate -1"}},
		{"payload", "fanout", func(c *Config) { c.Payload = 31 }, []string{"--payload 31", "32 to 65536"}},
		{"publishers", "fanout", func(c *Config) { c.Clients, c.Publishers = 3, 4 }, []string{"--publishers 4", "1 to 3"}},
		{"duration", "fanout", func(c *Config) { c.Duration = time.Hour }, []string{"--duration 1h0m0s", "10m"}},
		{"hold", "conns", func(c *Config) { c.Hold = -1 }, []string{"--hold"}},
		{"per topic", "conns", func(c *Config) { c.PerTopic = 101 }, []string{"--per-topic 101"}},
		{"churn", "presence", func(c *Config) { c.Clients, c.ChurnRate = 10, 6 }, []string{"--churn-rate 6", "0.1 to 5"}},
		{"topics", "remote", func(c *Config) { c.Topics = -1 }, []string{"--topics -1"}},
		{"remote", "remote", func(c *Config) { c.Rate, c.Duration = 1000, time.Minute }, []string{"60000 joins"}},
		{"floor of kill", "kill", func(c *Config) { c.Floor = true }, []string{"--floor", "not available for kill"}},
		{"floor of what runs", "conns", func(c *Config) { c.Self, c.Floor, c.URLs = false, true, []string{"http://127.0.0.1:1"} }, []string{"--floor needs --self"}},
		{"several at once", "fanout", func(c *Config) { c.Repeat, c.Timeout, c.Payload = -1, time.Millisecond, 1 }, []string{"--repeat", "--timeout", "--payload"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := valid(test.mode)
			test.edit(&c)
			err := c.Validate()
			require.Error(t, err)
			for _, want := range test.want {
				require.ErrorContains(t, err, want)
			}
			_, run := Run(t.Context(), c)
			require.Equal(t, err.Error(), run.Error(), "and nothing is run")
		})
	}
}

func TestURLOfTheSocket(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"http://127.0.0.1:4000", "ws://127.0.0.1:4000/socket/websocket?vsn=2.0.0"},
		{"http://localhost:4000/?secret=a+b", "ws://127.0.0.1:4000/socket/websocket?secret=a+b&vsn=2.0.0"},
		{"ws://127.1.2.3:80/other/websocket", "ws://127.1.2.3:80/other/websocket?vsn=2.0.0"},
	} {
		u, err := socketURL(test.text)
		require.NoError(t, err)
		require.Equal(t, test.want, u.String())
	}
	_, err := socketURL("http://[::1]:1")
	require.ErrorContains(t, err, "127.0.0.1")
	require.False(t, strings.Contains(err.Error(), "\n"))
}
