package metrics

import (
	"context"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/rollcall-go/rollcall/presence"
	"github.com/rollcall-go/rollcall/transport/membus"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestEveryFigureIsShown(t *testing.T) {
	status := presence.Status{
		Name: "eu", Settled: true, Topics: 3, Presences: 4, Queued: 5, Dropped: 6,
		Replicas: []presence.Member{{Name: "ap", Up: false, Beat: 7}, {Name: "us", Up: true, Presences: 8, Lagging: 9}},
		Stats:    presence.Stats{Received: 10, Snapshots: 11, LogRepairs: 12, AuditMismatches: 13},
	}
	c := newCollector("eu", func() presence.Status { return status })
	problems, err := testutil.CollectAndLint(c)
	require.NoError(t, err)
	require.Empty(t, problems)
	require.NoError(t, testutil.CollectAndCompare(c, strings.NewReader(`
# HELP rollcall_presence_answers_total Topics answered, by what the asker needed.
# TYPE rollcall_presence_answers_total counter
rollcall_presence_answers_total{kind="dots",self="eu"} 0
rollcall_presence_answers_total{kind="log",self="eu"} 12
rollcall_presence_answers_total{kind="snapshot",self="eu"} 11
rollcall_presence_answers_total{kind="unchanged",self="eu"} 0
# HELP rollcall_presence_ready 1 when lists can be relied upon and others hear this replica.
# TYPE rollcall_presence_ready gauge
rollcall_presence_ready{self="eu"} 1
# HELP rollcall_presence_replica_lagging_topics Topics in which the replica is known to have more than is known of it.
# TYPE rollcall_presence_replica_lagging_topics gauge
rollcall_presence_replica_lagging_topics{replica="ap",self="eu"} 0
rollcall_presence_replica_lagging_topics{replica="us",self="eu"} 9
# HELP rollcall_presence_replicas Other replicas, by status.
# TYPE rollcall_presence_replicas gauge
rollcall_presence_replicas{self="eu",status="down"} 1
rollcall_presence_replicas{self="eu",status="up"} 1
`), "rollcall_presence_answers_total", "rollcall_presence_ready", "rollcall_presence_replica_lagging_topics", "rollcall_presence_replicas"))
}

func TestATrackerIsCollected(t *testing.T) {
	tracker, err := presence.Start(t.Context(), presence.Config{Name: "eu", Bus: membus.New().Bus()})
	require.NoError(t, err)
	defer tracker.Close(context.Background())
	_, err = tracker.NewSession().Track("room", "alice", nil)
	require.NoError(t, err)
	registry := prometheus.NewPedanticRegistry()
	require.NoError(t, registry.Register(New(tracker)))
	families, err := registry.Gather()
	require.NoError(t, err)
	found := map[string]float64{}
	for _, f := range families {
		if m := f.GetMetric()[0]; m.GetGauge() != nil {
			found[f.GetName()] = m.GetGauge().GetValue()
		}
	}
	require.Equal(t, 1.0, found["rollcall_presence_presences"])
	require.Equal(t, 1.0, found["rollcall_presence_topics"])
}
