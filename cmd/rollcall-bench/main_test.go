package main

import (
	"bytes"
	"encoding/json"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/rollcall-go/rollcall/cmd/rollcall-bench/internal/load"
)

// TestMain runs the hidden commands too: here the running executable, which the
// generator starts with them, is the test binary.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && (os.Args[1] == floorCommand || os.Args[1] == quietCommand) {
		main()
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		removeServer()
		os.Exit(code)
	}))
}

// run runs the program with arguments separated by spaces.
func run(t *testing.T, args string) (code int, stdout, stderr string) {
	t.Helper()
	var out, log bytes.Buffer
	code = command(t.Context(), strings.Fields(args), &out, &log)
	return code, out.String(), log.String()
}

// report is the output of --json.
type report struct {
	Mode     string
	Settings map[string]float64
	Machine  map[string]*float64
	Rows     []map[string]any
}

func measured(t *testing.T, args string) report {
	t.Helper()
	code, stdout, stderr := run(t, args+" --json")
	require.Equal(t, 0, code, "%s", stderr)
	var r report
	require.NoError(t, json.Unmarshal([]byte(stdout), &r), "%s", stdout)
	return r
}

// The servers are real ones, in processes of their own.
func TestEveryModeMeasuresServersThatItStarts(t *testing.T) {
	tests := []struct {
		args  string
		steps string
		keys  string            // figures above 0
		exact map[string]string // figures by step and key
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
			out := measured(t, test.args+" --self --server "+rollcall(t))
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

// A flooding client is closed with a code after which clients reconnect, and the
// server counts the cause.
func TestHostileReportsThatFloodsAreClosed(t *testing.T) {
	out := measured(t, "hostile --clients 2 --hostile 1 --duration 300ms --rate 20 --url "+serve(t, "--message-rate", "20"))
	closed := 0.0
	for _, row := range out.Rows {
		if step := row["step"].(string); strings.HasPrefix(step, "floods") {
			require.Greater(t, row["closed_1013"], 0.0, step)
			require.Greater(t, row["rejected_flood"], 0.0, step)
			closed += row["closed_1013"].(float64)
		}
	}
	require.Greater(t, closed, 3.0)
	require.Nil(t, out.Rows[0]["server_peak_mib"], "without --pid")
}

func TestARunningServerIsMeasured(t *testing.T) {
	url := serve(t, "--secret", "x", "--message-rate", "1000000", "--broadcast-rate", "1000000")
	out := measured(t, "fanout --clients 3 --duration 100ms --window 1 --repeat 2 --url "+url+"?secret=x")
	require.Len(t, out.Rows, 3)
	require.Equal(t, "median", out.Rows[2]["run"])
	require.Nil(t, out.Rows[0]["server_cpu_us_per_delivery"], "without --pid")

	code, stdout, stderr := run(t, "conns --clients 3 --url "+url)
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "the server answered 403")
	require.Empty(t, stdout)
}

// A running server may have other clients.
func TestARunningServerHasNoControlRoom(t *testing.T) {
	out := measured(t, "presence --clients 3 --churn -1s --url "+serve(t))
	require.Len(t, out.Rows, 4)
	require.Equal(t, "quiet room, before", out.Rows[1]["step"])
	require.Greater(t, out.Rows[1]["latency_p50_ms"], 0.0)
	for _, row := range out.Rows {
		require.NotContains(t, row, "control_p50_ms")
	}
}

func TestAnUnreachableServerIsAnError(t *testing.T) {
	code, stdout, stderr := run(t, "conns --clients 3 --url http://127.0.0.1:1")
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "rollcall-bench: connect to 127.0.0.1:1")
	require.Contains(t, stderr, "refused")
	require.Empty(t, stdout)
}

func TestTheReportIsATableByDefault(t *testing.T) {
	code, stdout, stderr := run(t, "conns --clients 3 --hold 1100ms --url "+serve(t))
	require.Equal(t, 0, code, "%s", stderr)
	require.Regexp(t, `^conns: 3 clients, 1 a topic, 1.1 s idle\n\d+ CPU`, stdout)
	require.Contains(t, stdout, "| connect and join |   1 |")
	require.Contains(t, stderr, "conns: idle, 1 s")
}

func TestAWarningIsNotInTheReport(t *testing.T) {
	for _, out := range []output{{}, {json: true}, {lines: true}} {
		for stolen, warning := range map[float64]string{4: "", 7: "rollcall-bench: the host took 7% of the processor time during the run: the figures are unreliable, repeat it\n"} {
			var stdout, stderr bytes.Buffer
			require.NoError(t, out.print(&load.Report{Mode: "conns", Machine: load.Machine{CPUs: 2, Stolen: stolen}}, &stdout, &stderr))
			require.Equal(t, warning, stderr.String())
			require.Contains(t, stdout.String(), "conns")
			require.NotContains(t, stdout.String(), "repeat")
		}
	}
}

func TestInvalidFlagsAreRefused(t *testing.T) {
	tests := []struct {
		args string
		want []string
	}{
		{"", []string{"no mode: must be one of conns, fanout, presence, remote, kill, fresh, hostile"}},
		{"--self", []string{"no mode"}},
		{"idle --self", []string{`unknown mode "idle"`}},
		{"conns", []string{"--self", "--url"}},
		{"conns --self now", []string{`unexpected argument "now"`}},
		{"conns --self --size 3", []string{"--size"}},
		{"conns --self --clients many", []string{"--clients", `"many"`}},
		{"fanout --self --window 1,x", []string{"--window", "separated by commas"}},
		{"fanout --self --window 0", []string{"--window", "above 0"}},
		{"fanout --self --payload 1 --publishers 1000", []string{"--payload", "--publishers"}},
		{"conns --url http://192.0.2.1:80", []string{"--url", "only this machine"}},
		{"conns --url http://127.0.0.1:1 --server rollcall", []string{"--server needs --self"}},
		{"fanout --self --payload 1 --server testdata/none", []string{"--server testdata/none", "no such file", "--payload 1"}},
	}
	for _, test := range tests {
		code, stdout, stderr := run(t, test.args)
		require.Equal(t, 2, code, test.args)
		for _, want := range append(test.want, "see --help") {
			require.Contains(t, stderr, want)
		}
		require.NotRegexp(t, `(^|\s)-[a-z]{2}`, stderr, "flags are named as they are in the help")
		require.Empty(t, stdout)
	}
}

func TestHelpNamesModesAndFlags(t *testing.T) {
	for _, args := range []string{"--help", "fanout --help"} {
		code, stdout, stderr := run(t, args)
		require.Equal(t, 0, code)
		require.Empty(t, stderr)
		for _, mode := range load.Modes {
			require.Contains(t, stdout, "\n  "+mode+" ")
		}
		for _, want := range []string{"\n  --self\n", "\n  --server PATH\n", "\n  --url URL\n", "\n  --rate NUMBER\n", "\n  --repeat NUMBER\n"} {
			require.Contains(t, stdout, want)
		}
	}
}
