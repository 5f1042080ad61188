package metrics

import (
	"context"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/presence"
	"github.com/rollcall-go/rollcall/transport/membus"
)

func TestPresenceStatusIsExported(t *testing.T) {
	status := presence.Status{
		Name: "eu", Settled: true, Topics: 3, Presences: 4, Queued: 5, Dropped: 6,
		Replicas: []presence.Member{{Name: "ap", Up: false, Beat: 7}, {Name: "us", Up: true, Presences: 8, Lagging: 9}},
		Stats:    presence.Stats{Received: 10, Snapshots: 11, LogRepairs: 12, AuditMismatches: 13},
	}
	c := presenceCollector("eu", func() presence.Status { return status })
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

// Every number that a tracker counts is in a metric, with its own value.
func TestEveryPresenceStatisticIsExported(t *testing.T) {
	status := presence.Status{Settled: true, Isolated: true, Fenced: true, Mirror: true}
	next, want := 1000, map[float64]string{}
	number := func(v reflect.Value, name string) {
		next++
		want[float64(next)] = name
		if v.CanInt() {
			v.SetInt(int64(next))
		} else {
			v.SetUint(uint64(next))
		}
	}
	for stats, i := reflect.ValueOf(&status.Stats).Elem(), 0; i < stats.NumField(); i++ {
		number(stats.Field(i), stats.Type().Field(i).Name)
	}
	member := presence.Member{Name: "us", Up: true, Silent: 1500 * time.Millisecond}
	for _, name := range []string{"Topics", "Presences", "Queued", "Dropped", "Unsent", "Undelivered"} {
		number(reflect.ValueOf(&status).Elem().FieldByName(name), name)
	}
	for _, name := range []string{"Beat", "Presences", "Lagging"} {
		number(reflect.ValueOf(&member).Elem().FieldByName(name), "Member."+name)
	}
	status.Replicas = []presence.Member{member}
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(presenceCollector("eu", func() presence.Status { return status }))
	families, err := registry.Gather()
	require.NoError(t, err)
	states := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			value := m.GetGauge().GetValue() + m.GetCounter().GetValue() // one of them is nil
			delete(want, value)
			states[f.GetName()] = value
		}
	}
	require.Empty(t, want)
	require.Equal(t, 1.5, states["rollcall_presence_replica_silent_seconds"])
	for _, state := range []string{"isolated", "fenced", "mirror", "replica_up"} {
		require.Equal(t, 1.0, states["rollcall_presence_"+state], state)
	}
}

func TestATrackerIsExported(t *testing.T) {
	tracker, err := presence.Start(t.Context(), presence.Config{Name: "eu", Bus: membus.New().Bus()})
	require.NoError(t, err)
	defer tracker.Close(context.Background())
	_, err = tracker.NewSession().Track("room", "alice", nil)
	require.NoError(t, err)
	registry := prometheus.NewPedanticRegistry()
	require.NoError(t, registry.Register(Presence("eu", tracker)))
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
