package metrics

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/channel"
	"github.com/rollcall-go/rollcall/channel/channeltest"
	"github.com/rollcall-go/rollcall/presence"
	"github.com/rollcall-go/rollcall/transport/intake"
	"github.com/rollcall-go/rollcall/transport/natsbus"
)

// listing returns what a registry exports apart from values: names, types, help texts,
// labels and the buckets of histograms.
func listing(t *testing.T, registry prometheus.Gatherer) string {
	t.Helper()
	families, err := registry.Gather()
	require.NoError(t, err)
	var out strings.Builder
	for _, f := range families {
		fmt.Fprintf(&out, "%s %s\n  %s\n", f.GetName(), strings.ToLower(f.GetType().String()), f.GetHelp())
		var series []string
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
			}
			line := "  {" + strings.Join(labels, ",") + "}"
			if h := m.GetHistogram(); h != nil {
				line += " le"
				for _, b := range h.GetBucket() {
					line += fmt.Sprint(" ", b.GetUpperBound())
				}
			}
			series = append(series, line)
		}
		slices.Sort(series)
		fmt.Fprintln(&out, strings.Join(series, "\n"))
	}
	return out.String()
}

// Names, types, help texts and labels are an interface of operators.
func TestNamesHelpTextsAndLabelsAreThoseListed(t *testing.T) {
	listed, err := os.ReadFile("testdata/names.txt")
	require.NoError(t, err)
	synctest.Test(t, func(t *testing.T) {
		events := ChannelEvents("eu", EventOptions{})
		endpoint, err := channel.New(channel.Config{Telemetry: []channel.Telemetry{events.Telemetry()}})
		require.NoError(t, err)
		defer endpoint.Close(t.Context())
		handler, err := channel.NewHandler(channel.Handler{Routes: []channel.Route{{Pattern: "room:*", New: func() channel.Channel { return slow{} }}}})
		require.NoError(t, err)
		room := channeltest.Connect(t, endpoint, handler, nil).MustJoin("room:a", nil)
		room.AwaitReply(room.Push("ping", nil), "ok", nil)
		registry := prometheus.NewPedanticRegistry()
		registry.MustRegister(events, Channel("eu", endpoint),
			presenceCollector("eu", func() presence.Status { return presence.Status{Replicas: []presence.Member{{Name: "us"}}} }),
			natsCollector("eu", func() natsbus.Stats { return natsbus.Stats{} }),
			intakeCollector("eu", func() intake.Stats { return intake.Stats{} }))
		require.Equal(t, string(listed), listing(t, registry))
	})
}
