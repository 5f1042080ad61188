package load

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Minimal fakes of a server and a quiet room. Each writes its process ID to
// $PROCESSES and runs until it is killed. The URL of the server has port 1, that of
// the control port 2. The p50 of a quiet room is its port in ms, and its p99 is the
// time at which the step began.
const (
	fakeServer = `echo $$ >>"$PROCESSES"
case $4 in bench-*) port=1 ;; control-1) port=2 ;; esac
echo "fake: listening at http://127.0.0.1:$port"
exec sleep 60`
	fakeQuietRoom = `echo $$ >>"$PROCESSES"
case $1 in *:1/*) p50=1000000 ;; *:2/*) p50=2000000 ;; esac
echo "quiet room: ready"
steps=
while read -r at name; do steps="$steps,{\"Step\":\"$name\",\"P50\":$p50,\"P99\":$at,\"Max\":1,\"Deliveries\":4}"; done
echo "[${steps#,}]"`
)

// fakes makes commands of scripts and knows the processes that they started.
type fakes struct{ notes string }

func newFakes(t *testing.T) fakes {
	notes := filepath.Join(t.TempDir(), "processes")
	require.NoError(t, os.WriteFile(notes, nil, 0o600))
	return fakes{notes}
}

func (f fakes) command(script string) []string {
	return []string{"sh", "-c", fmt.Sprintf("PROCESSES='%s'\n%s", f.notes, script), "sh"}
}

func (f fakes) started() []string {
	notes, _ := os.ReadFile(f.notes)
	return strings.Fields(string(notes))
}

// requireEnded requires that n processes were started and none is left.
func (f fakes) requireEnded(t *testing.T, n int) {
	t.Helper()
	pids := f.started()
	require.Len(t, pids, n)
	for _, text := range pids {
		pid, err := strconv.Atoi(text)
		require.NoError(t, err)
		process, err := os.FindProcess(pid)
		require.NoError(t, err)
		require.ErrorIs(t, process.Signal(os.Interrupt), os.ErrProcessDone)
	}
}

func TestAControlRoomHasItsOwnServerAndTheSameSteps(t *testing.T) {
	t.Parallel()
	f := newFakes(t)
	c := &Config{Mode: "kill", Self: true, Command: f.command(fakeServer), QuietCommand: f.command(fakeQuietRoom)}
	s, err := startServers(t.Context(), c, 1)
	require.NoError(t, err)
	measured := len(s.pids)
	r := &run{Config: c, servers: s, show: &progress{}, prefix: "room:x"}
	q, err := r.openQuietRooms(t.Context(), s.targets[0])
	require.NoError(t, err)
	q.during("kill")
	rows, err := q.rows()
	require.NoError(t, err)
	require.Len(t, rows, 2)
	for i, step := range []string{"quiet room, before", "quiet room, kill"} {
		row := rows[i]
		require.Equal(t, step, row.Step)
		require.Equal(t, 1.0, row.cell("latency_p50_ms").Value)
		require.Equal(t, 2.0, row.cell("control_p50_ms").Value, "of the other server")
		require.Equal(t, row.cell("latency_p99_ms").Value, row.cell("control_p99_ms").Value, "begun at the same time")
	}
	require.Less(t, rows[0].cell("control_p99_ms").Value, rows[1].cell("control_p99_ms").Value)
	require.Len(t, s.pids, measured, "what the control's server uses is not counted")
	require.Len(t, s.children, measured)
	q.close()
	s.close()
	f.requireEnded(t, 4)
}

// A running server may have other clients.
func TestARunningServerHasNoControlRoom(t *testing.T) {
	t.Parallel()
	f := newFakes(t)
	c := &Config{Mode: "presence", Command: f.command(fakeServer), QuietCommand: f.command(fakeQuietRoom), URLs: []string{"http://127.0.0.1:1"}}
	s, err := startServers(t.Context(), c, 1)
	require.NoError(t, err)
	r := &run{Config: c, servers: s, show: &progress{}}
	q, err := r.openQuietRooms(t.Context(), s.targets[0])
	require.NoError(t, err)
	defer q.close()
	rows, err := q.rows()
	require.NoError(t, err)
	for _, c := range rows[0].Cells {
		require.NotContains(t, c.Key, "control")
	}
	q.close()
	f.requireEnded(t, 1) // the quiet room
}

func TestAStepWithoutDeliveriesHasNoLatency(t *testing.T) {
	for _, c := range (quietFigures{Step: "connect"}).latencies("control", "control ") {
		require.NotEqual(t, c.Value, c.Value, c.Key)
	}
}

func TestAFailedRunLeavesNoProcess(t *testing.T) {
	tests := []struct {
		name          string
		server, quiet string // done before the fake
		want          string
		processes     int
	}{
		{"the control's server does not start", `case $4 in control*) echo not here >&2; exit 1 ;; esac`, "", "control room: start a server: the process ended; its log: not here", 1},
		{"the control does not start", "", `case $1 in *:2/*) echo not here >&2; exit 1 ;; esac`, "control room: EOF; its log: not here", 2},
		{"the quiet room does not start", "", `case $1 in *:1/*) echo not here >&2; exit 1 ;; esac`, "quiet room: EOF; its log: not here", 3},
		{"what is measured fails", "", "", "connect to 127.0.0.1:1", 4},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f := newFakes(t)
			c := Config{Mode: "presence", Clients: 1, Churn: -1, Self: true,
				Command: f.command(test.server + "\n" + fakeServer), QuietCommand: f.command(test.quiet + "\n" + fakeQuietRoom)}
			_, err := Run(t.Context(), c)
			require.ErrorContains(t, err, test.want)
			f.requireEnded(t, test.processes)
		})
	}
}

func TestAnInterruptedRunLeavesNoProcess(t *testing.T) {
	for name, quiet := range map[string]string{
		"while it measures":             "",
		"while the quiet room connects": `case $1 in *:1/*) echo $$ >>"$PROCESSES"; exec sleep 60 ;; esac`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFakes(t)
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			c := Config{Mode: "presence", Clients: 1, Churn: -1, Self: true,
				Command: f.command(fakeServer), QuietCommand: f.command(quiet + "\n" + fakeQuietRoom)}
			ended := make(chan error)
			go func() {
				_, err := Run(ctx, c)
				ended <- err
			}()
			require.Eventually(t, func() bool { return len(f.started()) == 4 }, time.Minute, time.Millisecond)
			interrupt := errors.New("interrupt signal received")
			cancel(interrupt)
			require.ErrorIs(t, <-ended, interrupt)
			f.requireEnded(t, 4)
		})
	}
}

// Losing the control must not produce a row of zeros.
func TestAControlThatEndsEarlyIsAnErrorThatNamesIt(t *testing.T) {
	for _, test := range []struct {
		name          string
		server, quiet string
		want          []string
		processes     int // that wrote their ID: a script that ends earlier does not
	}{
		{"its room", fakeServer, `case $1 in *:2/*) echo "quiet room: ready"; echo gone >&2; exit 1 ;; esac` + "\n" + fakeQuietRoom, []string{"control room: EOF; its log: gone"}, 3},
		{"its room misses a step", fakeServer, `case $1 in *:2/*) echo "quiet room: ready"; echo "[]"; exit 0 ;; esac` + "\n" + fakeQuietRoom, []string{"control room: reported 0 steps, the quiet room 1"}, 3},
		{"its server", `case $4 in control*) echo "fake: listening at http://127.0.0.1:2"; echo out of memory >&2; exit 1 ;; esac` + "\n" + fakeServer,
			`case $1 in *:2/*) echo "quiet room: ready"; exit 1 ;; esac` + "\n" + fakeQuietRoom,
			[]string{"control room: EOF", "server 1 has ended; its log: out of memory"}, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f := newFakes(t)
			c := &Config{Mode: "kill", Self: true, Command: f.command(test.server), QuietCommand: f.command(test.quiet)}
			s, err := startServers(t.Context(), c, 1)
			require.NoError(t, err)
			defer s.close()
			r := &run{Config: c, servers: s, show: &progress{}}
			q, err := r.openQuietRooms(t.Context(), s.targets[0])
			require.NoError(t, err)
			defer q.close()
			_, err = q.rows()
			for _, want := range test.want {
				require.ErrorContains(t, err, want)
			}
			q.close()
			s.close()
			f.requireEnded(t, test.processes)
		})
	}
}
