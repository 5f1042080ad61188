package metrics

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/transport/intake"
)

func TestEveryIntakeStatisticIsExported(t *testing.T) {
	c := intakeCollector("eu", func() intake.Stats {
		return intake.Stats{Running: 1, Waiting: 2, Waited: 3, Refused: 4, Queued: 5}
	})
	problems, err := testutil.CollectAndLint(c)
	require.NoError(t, err)
	require.Empty(t, problems)
	require.NoError(t, testutil.CollectAndCompare(c, strings.NewReader(`
# HELP rollcall_intake_handshakes_running Handshakes that have their turn.
# TYPE rollcall_intake_handshakes_running gauge
rollcall_intake_handshakes_running{self="eu"} 1
# HELP rollcall_intake_handshakes_waiting Handshakes that wait for their turn.
# TYPE rollcall_intake_handshakes_waiting gauge
rollcall_intake_handshakes_waiting{self="eu"} 2
# HELP rollcall_intake_queued Connections that wait in a listener, before anything is read of them.
# TYPE rollcall_intake_queued gauge
rollcall_intake_queued{self="eu"} 5
# HELP rollcall_intake_refused_total Handshakes refused because too many waited, or for having waited too long.
# TYPE rollcall_intake_refused_total counter
rollcall_intake_refused_total{self="eu"} 4
# HELP rollcall_intake_waited_total Handshakes that had to wait.
# TYPE rollcall_intake_waited_total counter
rollcall_intake_waited_total{self="eu"} 3
`)))
}
