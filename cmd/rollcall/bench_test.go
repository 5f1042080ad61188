package main

import (
	"bytes"
	"encoding/json"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/cmd/internal/load"
)

// benchOutput is what --json prints.
type benchOutput struct {
	Mode     string
	Settings map[string]float64
	Machine  map[string]*float64
	Rows     []map[string]any
}

func runBench(t *testing.T, args string) benchOutput {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := command(append([]string{"bench"}, strings.Fields(args)...), &stdout, &stderr, nil)
	require.Equal(t, 0, code, "%s", stderr.String())
	var out benchOutput
	require.NoError(t, json.Unmarshal(stdout.Bytes(), &out), "%s", stdout.String())
	return out
}

// Every mode measures a service that runs in processes of its own.
func TestBenchMeasuresServersOfItsOwn(t *testing.T) {
	t.Setenv(commandVariable, "1")
	tests := []struct {
		args  string
		steps string
		keys  string            // figures that must be above 0
		exact map[string]string // step and key, to the figure it must be
	}{
		{"conns --clients 20 --per-topic 2 --hold 100ms", "connect and join", "joins_per_s seconds", nil},
		{"fanout --clients 10 --publishers 2 --duration 200ms --window 1,4 --rate 50", "window 1; window 4; 50/s", "deliveries deliveries_per_s latency_p50_ms latency_p99_ms", nil},
		{"fanout --floor --clients 5 --publishers 2 --duration 200ms --window 2", "window 2; window 2, floor direct; window 2, floor batched; window 2: server CPU us/delivery", "", nil},
		{"conns --floor --clients 20 --hold 100ms", "connect and join; connect and join, floor direct; connect and join: server CPU us each; connect and join: resident KiB each", "", nil},
		{"presence --clients 12 --churn 500ms --churn-rate 6", "join; churn; quiet room, before; quiet room, connect; quiet room, join; quiet room, churn", "", map[string]string{"churn notices": "72", "join refused": "0"}},
		{"remote --clients 3 --duration 500ms --rate 10", "join; leave (lost connection)", "seen_p50_ms seen_p99_ms", map[string]string{"join samples": "15", "leave (lost connection) samples": "15"}},
		{"kill --clients 5 --per-topic 2", "kill; quiet room, before; quiet room, connect; quiet room, kill", "", map[string]string{"kill presences": "5"}},
		{"kill --clients 5 --reconnect", "kill; quiet room, before; quiet room, connect; quiet room, kill", "", map[string]string{"kill redials": "0", "kill refused": "0"}},
		{"hostile --clients 5 --hostile 1 --duration 200ms --rate 50", "stops reading, same topic; stops reading, other topic; reads 1 B/s, same topic; reads 1 B/s, other topic; floods broadcasts, same topic; floods broadcasts, other topic; floods heartbeats; floods pings; joins and leaves, same topic; joins and leaves, other topic; half a handshake; crowds in", "attempts without_latency_p99_ms with_latency_p99_ms", map[string]string{"floods heartbeats refused": "0"}},
		{"fresh --clients 5 --hold 100ms", "fresh", "all_seen_s all_seen_since_start_s", map[string]string{"fresh presences": "5"}},
	}
	for _, test := range tests {
		mode, _, _ := strings.Cut(test.args, " ")
		t.Run(mode, func(t *testing.T) {
			out := runBench(t, test.args+" --self --json")
			require.Equal(t, mode, out.Mode)
			require.GreaterOrEqual(t, *out.Machine["cpus"], 1.0)
			require.Contains(t, out.Machine, "stolen_percent")
			var steps []string
			for _, row := range out.Rows {
				step := row["step"].(string)
				steps = append(steps, step)
				keys := test.keys
				switch {
				case strings.HasPrefix(step, "quiet room"):
					keys = "deliveries latency_p50_ms latency_p99_ms latency_max_ms control_p50_ms control_p99_ms control_max_ms"
				case step == "half a handshake", step == "crowds in":
					keys += " rejected_address"
				case step == "kill":
					keys = "all_gone_s"
					if strings.Contains(test.args, "--reconnect") {
						keys += " connected_again_s joined_again_s seen_again_s"
					}
				case mode == "presence":
					keys = "frames mib_received"
				}
				for key := range strings.FieldsSeq(keys) {
					require.Greater(t, row[key], 0.0, "%s %s", step, key)
				}
				for key, value := range row {
					if want, ok := test.exact[step+" "+key]; ok {
						got, err := json.Marshal(value)
						require.NoError(t, err)
						require.Equal(t, want, string(got), key)
					}
					if strings.HasPrefix(key, "server_") && runtime.GOOS == "linux" {
						require.NotNil(t, value, key)
					}
				}
			}
			require.Equal(t, test.steps, strings.Join(steps, "; "))
		})
	}
}

// Who floods is closed, with a code after which clients come back, and the server
// tells why.
func TestBenchShowsThatFloodsAreClosed(t *testing.T) {
	c := start(t, "--message-rate", "20")
	out := runBench(t, "hostile --clients 2 --hostile 1 --duration 300ms --rate 20 --json --url "+c.URL)
	closed := 0.0
	for _, row := range out.Rows {
		if step := row["step"].(string); strings.HasPrefix(step, "floods") {
			require.Greater(t, row["closed_1013"], 0.0, step)
			require.Greater(t, row["rejected_flood"], 0.0, step)
			closed += row["closed_1013"].(float64)
		}
	}
	require.Greater(t, closed, 3.0)
	require.Nil(t, out.Rows[0]["server_peak_mib"], "its process is not known")
}

func TestBenchMeasuresAServerThatRuns(t *testing.T) {
	c := start(t, "--secret", "x", "--message-rate", "1000000", "--broadcast-rate", "1000000")
	out := runBench(t, "fanout --clients 3 --duration 100ms --window 1 --repeat 2 --json --url "+c.URL+"?secret=x")
	require.Len(t, out.Rows, 3)
	require.Equal(t, "median", out.Rows[2]["run"])
	require.Nil(t, out.Rows[0]["server_cpu_us_per_delivery"], "its process is not known")

	var stdout, stderr bytes.Buffer
	require.Equal(t, 1, command([]string{"bench", "conns", "--clients", "3", "--url", c.URL}, &stdout, &stderr, nil))
	require.Contains(t, stderr.String(), "the server answered 403")
	require.Empty(t, stdout.String())
}

// Of a server that was not started for it nobody knows what else it has to do.
func TestBenchHasNoControlBesideAServerThatRuns(t *testing.T) {
	t.Setenv(commandVariable, "1")
	c := start(t)
	out := runBench(t, "presence --clients 3 --churn -1s --json --url "+c.URL)
	require.Len(t, out.Rows, 4)
	require.Equal(t, "quiet room, before", out.Rows[1]["step"])
	require.Greater(t, out.Rows[1]["latency_p50_ms"], 0.0)
	for _, row := range out.Rows {
		require.NotContains(t, row, "control_p50_ms")
	}
}

func TestBenchSaysThatNoServerIsThere(t *testing.T) {
	var stdout, stderr bytes.Buffer
	require.Equal(t, 1, command([]string{"bench", "conns", "--clients", "3", "--url", "http://" + freeAddress(t)}, &stdout, &stderr, nil))
	require.Contains(t, stderr.String(), "refused")
}

func TestBenchPrintsATable(t *testing.T) {
	c := start(t)
	var stdout, stderr bytes.Buffer
	require.Equal(t, 0, command([]string{"bench", "conns", "--clients", "3", "--hold", "1100ms", "--url", c.URL}, &stdout, &stderr, nil))
	require.Regexp(t, `^conns: 3 clients, 1 a topic, 1.1 s idle\n\d+ CPU`, stdout.String())
	require.Contains(t, stdout.String(), "| connect and join |   1 |")
	require.Contains(t, stderr.String(), "conns: idle, 1 s")
}

// The warning must not be in what is parsed.
func TestBenchWarnsOfAHostThatTookTheProcessors(t *testing.T) {
	for _, out := range []output{{}, {json: true}, {lines: true}} {
		for stolen, warning := range map[float64]string{4: "", 7: "rollcall bench: the host took 7% of the processors' time meanwhile: repeat\n"} {
			var stdout, stderr bytes.Buffer
			require.NoError(t, out.print(&load.Report{Mode: "conns", Machine: load.Machine{CPUs: 2, Stolen: stolen}}, &stdout, &stderr))
			require.Equal(t, warning, stderr.String())
			require.Contains(t, stdout.String(), "conns")
			require.NotContains(t, stdout.String(), "repeat")
		}
	}
}

func TestBenchFlagsThatCannotBe(t *testing.T) {
	tests := []struct {
		args string
		want []string
	}{
		{"", []string{"no mode: there are conns, fanout, presence, remote, kill, fresh, hostile"}},
		{"--self", []string{"no mode"}},
		{"idle --self", []string{`unknown mode "idle"`}},
		{"conns", []string{"--self", "--url"}},
		{"conns --self now", []string{`unexpected argument "now"`}},
		{"conns --self --size 3", []string{"--size"}},
		{"conns --self --clients many", []string{"--clients", `"many"`}},
		{"fanout --self --window 1,x", []string{"--window", "separated by commas"}},
		{"fanout --self --window 0", []string{"--window", "above 0"}},
		{"fanout --self --payload 1 --publishers 1000", []string{"--payload", "--publishers"}},
		{"conns --url http://192.0.2.1:80", []string{"--url", "this machine only"}},
	}
	for _, test := range tests {
		var stdout, stderr bytes.Buffer
		require.Equal(t, 2, command(append([]string{"bench"}, strings.Fields(test.args)...), &stdout, &stderr, nil), test.args)
		for _, want := range append(test.want, "see --help") {
			require.Contains(t, stderr.String(), want)
		}
		require.NotRegexp(t, `(^|\s)-[a-z]`, stderr.String(), "flags are named as they are in the help")
		require.Empty(t, stdout.String())
	}
}

func TestBenchHelpNamesModesAndFlags(t *testing.T) {
	for _, args := range [][]string{{"bench", "--help"}, {"bench", "fanout", "--help"}} {
		var stdout, stderr bytes.Buffer
		require.Equal(t, 0, command(args, &stdout, &stderr, nil))
		require.Empty(t, stderr.String())
		for _, want := range []string{"conns ", "kill ", "\n  --self\n", "\n  --url URL\n", "\n  --rate NUMBER\n", "\n  --repeat NUMBER\n"} {
			require.Contains(t, stdout.String(), want)
		}
	}
}
