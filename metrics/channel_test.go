package metrics

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/channel"
	"github.com/rollcall-go/rollcall/channel/channeltest"
	"github.com/rollcall-go/rollcall/channel/wire"
)

// slow is a channel that takes 20 ms for everything.
type slow struct{}

func (slow) Join(_ context.Context, _ *channel.Socket, params channel.Payload) (any, error) {
	time.Sleep(20 * time.Millisecond)
	var does struct{ Refuse, Crash bool }
	_ = params.Decode(&does)
	switch {
	case does.Refuse:
		return nil, channel.Refuse("no")
	case does.Crash:
		return nil, errors.New("boom")
	}
	return nil, nil
}

func (slow) HandleIn(*channel.Socket, string, channel.Payload) channel.Result {
	time.Sleep(20 * time.Millisecond)
	return channel.OK(nil)
}

// story shows an endpoint's collectors a little of everything.
func story(t *testing.T, options EventOptions) (*EventCollector, *channel.Endpoint) {
	t.Helper()
	c := ChannelEvents("eu", options)
	endpoint, err := channel.New(channel.Config{MaxChannels: 3, Telemetry: []channel.Telemetry{c.Telemetry()}})
	require.NoError(t, err)
	for _, collector := range []prometheus.Collector{c, Channel("eu", endpoint)} {
		problems, err := testutil.CollectAndLint(collector)
		require.NoError(t, err)
		require.Empty(t, problems)
	}
	h, err := channel.NewHandler(channel.Handler{
		Connect: func(_ context.Context, c *channel.ConnectRequest) error {
			if c.Params.String("as") == "eve" {
				return errors.New("not her")
			}
			return nil
		},
		Routes: []channel.Route{{Pattern: "room:*", New: func() channel.Channel { return slow{} }}},
	})
	require.NoError(t, err)
	client := channeltest.Connect(t, endpoint, h, nil)
	_, err = channeltest.TryConnect(t, endpoint, h, wire.ConnectInfo{Params: url.Values{"as": {"eve"}}})
	require.Error(t, err)
	a := client.MustJoin("room:a", nil)
	client.MustJoin("room:b", nil)
	for _, refused := range []struct {
		topic  string
		params map[string]any
	}{{"room:c", map[string]any{"refuse": true}}, {"room:c", map[string]any{"crash": true}}, {"nowhere", nil}} {
		_, refusal := client.Join(refused.topic, refused.params)
		require.NotNil(t, refusal)
	}
	for range 3 {
		a.AwaitReply(a.Push("ping", nil), "ok", nil)
	}
	endpoint.Reject(wire.Rejection{Cause: "made up"})
	t.Cleanup(func() { require.NoError(t, endpoint.Close(context.Background())) })
	return c, endpoint
}

func TestWhatHappensIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, endpoint := story(t, EventOptions{Buckets: []float64{.01, .1}})
		require.NoError(t, testutil.CollectAndCompare(Channel("eu", endpoint), strings.NewReader(`
# HELP rollcall_channel_channels Channels that are joined.
# TYPE rollcall_channel_channels gauge
rollcall_channel_channels{self="eu"} 2
# HELP rollcall_channel_connections Connections of clients.
# TYPE rollcall_channel_connections gauge
rollcall_channel_connections{self="eu"} 1
`), "rollcall_channel_channels", "rollcall_channel_connections"))
		require.NoError(t, testutil.CollectAndCompare(c, strings.NewReader(`
# HELP rollcall_channel_connects_total Connections that a handler has judged.
# TYPE rollcall_channel_connects_total counter
rollcall_channel_connects_total{result="accepted",self="eu",transport="channeltest"} 1
rollcall_channel_connects_total{result="refused",self="eu",transport="channeltest"} 1
# HELP rollcall_channel_handle_in_duration_seconds How long HandleIn took.
# TYPE rollcall_channel_handle_in_duration_seconds histogram
rollcall_channel_handle_in_duration_seconds_bucket{self="eu",le="0.01"} 0
rollcall_channel_handle_in_duration_seconds_bucket{self="eu",le="0.1"} 3
rollcall_channel_handle_in_duration_seconds_bucket{self="eu",le="+Inf"} 3
rollcall_channel_handle_in_duration_seconds_sum{self="eu"} 0.06
rollcall_channel_handle_in_duration_seconds_count{self="eu"} 3
# HELP rollcall_channel_join_duration_seconds How long Join took.
# TYPE rollcall_channel_join_duration_seconds histogram
rollcall_channel_join_duration_seconds_bucket{self="eu",le="0.01"} 0
rollcall_channel_join_duration_seconds_bucket{self="eu",le="0.1"} 4
rollcall_channel_join_duration_seconds_bucket{self="eu",le="+Inf"} 4
rollcall_channel_join_duration_seconds_sum{self="eu"} 0.08
rollcall_channel_join_duration_seconds_count{self="eu"} 4
# HELP rollcall_channel_joins_total Joins that a channel has judged.
# TYPE rollcall_channel_joins_total counter
rollcall_channel_joins_total{result="accepted",self="eu"} 2
rollcall_channel_joins_total{result="crashed",self="eu"} 1
rollcall_channel_joins_total{result="refused",self="eu"} 1
`), "rollcall_channel_connects_total", "rollcall_channel_joins_total",
			"rollcall_channel_join_duration_seconds", "rollcall_channel_handle_in_duration_seconds"))
		require.Equal(t, 1.0, testutil.ToFloat64(c.rejections.WithLabelValues("unmatched_topic")))
		require.Equal(t, 1.0, testutil.ToFloat64(c.rejections.WithLabelValues("other")), "a cause that nobody knows is no label")
		require.Equal(t, len(wire.Causes())+1, testutil.CollectAndCount(c, "rollcall_channel_rejections_total"))

		require.NoError(t, endpoint.Drain(t.Context()))
		require.Equal(t, 1.0, testutil.ToFloat64(c.batches))
		require.Equal(t, 1.0, testutil.ToFloat64(c.drained))
		require.NoError(t, testutil.CollectAndCompare(Channel("eu", endpoint), strings.NewReader(`
# HELP rollcall_channel_connections Connections of clients.
# TYPE rollcall_channel_connections gauge
rollcall_channel_connections{self="eu"} 0
`), "rollcall_channel_connections"))
		registry := prometheus.NewPedanticRegistry()
		registry.MustRegister(c, Channel("eu", endpoint))
		_, err := registry.Gather()
		require.NoError(t, err)
	})
}

func TestTopicsAreLabelledByTheirClassOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := story(t, EventOptions{Class: func(topic string) string { class, _, _ := strings.Cut(topic, ":"); return class }})
		require.Equal(t, 1, testutil.CollectAndCount(c, "rollcall_channel_handle_in_duration_seconds"))
		require.Equal(t, 2.0, testutil.ToFloat64(c.joins.WithLabelValues("accepted", "room")))
	})
}

func TestClassesAreBounded(t *testing.T) {
	c := ChannelEvents("eu", EventOptions{Class: func(topic string) string { return topic }})
	seen := map[string]bool{}
	for range 2 {
		for i := range 1000 {
			seen[c.labels(fmt.Sprint(i))[0]] = true
		}
	}
	require.Len(t, seen, maxClasses+1)
	require.True(t, seen["other"])
}

// silent is a link of a client that nobody asks what it was sent.
type silent struct{}

func (silent) Send(...*wire.Frame) {}
func (silent) Close(int, string)   {}

func TestAStormOfJoinsIsShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := ChannelEvents("eu", EventOptions{})
		e, err := channel.New(channel.Config{MaxJoinsRunning: 1, MaxJoinsWaiting: 1, Telemetry: []channel.Telemetry{c.Telemetry()}})
		require.NoError(t, err)
		h, err := channel.NewHandler(channel.Handler{Routes: []channel.Route{{Pattern: "room:*", New: func() channel.Channel { return slow{} }}}})
		require.NoError(t, err)
		for _, topic := range []string{"room:a", "room:b", "room:c"} {
			client, err := e.Connect(t.Context(), h, wire.ConnectInfo{Params: url.Values{"vsn": {"2.0.0"}}})
			require.NoError(t, err)
			client.Start(silent{})
			require.Nil(t, client.Receive(false, fmt.Appendf(nil, `["1","1",%q,"phx_join",{}]`, topic)))
		}
		synctest.Wait()
		names := []string{"rollcall_channel_joins_running", "rollcall_channel_joins_waiting", "rollcall_channel_joins_waited_total", "rollcall_channel_joins_refused_total"}
		text := `
# HELP rollcall_channel_joins_refused_total Joins that were refused because too many waited, or for having waited too long.
# TYPE rollcall_channel_joins_refused_total counter
rollcall_channel_joins_refused_total{self="eu"} 1
# HELP rollcall_channel_joins_running Joins that run.
# TYPE rollcall_channel_joins_running gauge
rollcall_channel_joins_running{self="eu"} 1
# HELP rollcall_channel_joins_waited_total Joins that had to wait for their turn.
# TYPE rollcall_channel_joins_waited_total counter
rollcall_channel_joins_waited_total{self="eu"} 1
# HELP rollcall_channel_joins_waiting Joins that wait for their turn.
# TYPE rollcall_channel_joins_waiting gauge
rollcall_channel_joins_waiting{self="eu"} 1
`
		require.NoError(t, testutil.CollectAndCompare(Channel("eu", e), strings.NewReader(text), names...))
		time.Sleep(time.Second)
		text = strings.NewReplacer(`running{self="eu"} 1`, `running{self="eu"} 0`, `waiting{self="eu"} 1`, `waiting{self="eu"} 0`).Replace(text)
		require.NoError(t, testutil.CollectAndCompare(Channel("eu", e), strings.NewReader(text), names...))
		require.Equal(t, 1.0, testutil.ToFloat64(c.rejections.WithLabelValues("overloaded")))
		require.NoError(t, e.Close(t.Context()))
	})
}
