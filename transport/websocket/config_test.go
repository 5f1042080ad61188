package websocket

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/channel"
	"github.com/rollcall-go/rollcall/transport/origin"
)

func TestNewReportsAllFaultsAtOnce(t *testing.T) {
	_, err := New(nil, nil, Config{
		CheckOrigin:    origin.List("example.com", "nor this"),
		Subprotocols:   []string{"ok", "not ok", ""},
		MaxConnections: -1,
		MaxFrame:       -2,
		IdleTimeout:    -time.Second,
		OutboxBytes:    -3,
		OutboxAge:      -time.Minute,
		CloseTimeout:   -time.Hour,
	})
	require.Error(t, err)
	require.True(t, strings.HasPrefix(err.Error(), "websocket: "))
	for _, part := range []string{
		"endpoint is nil", "handler is nil",
		`CheckOrigin: origin "example.com" has no host`, `origin "nor this" has no host`,
		`Subprotocols[1]: "not ok"`, `Subprotocols[2]: ""`,
		"MaxConnections: -1", "MaxFrame: -2", "IdleTimeout: -1s", "OutboxBytes: -3", "OutboxAge: -1m0s", "CloseTimeout: -1h0m0s",
	} {
		require.ErrorContains(t, err, part)
	}
	_, err = New(&channel.Endpoint{}, mustHandler(channel.Handler{}), Config{Subprotocols: []string{}})
	require.ErrorContains(t, err, "Subprotocols: empty")
}

func TestZeroOptionsHaveTheDocumentedDefaults(t *testing.T) {
	o, err := Config{}.prepare()
	require.NoError(t, err)
	require.Equal(t, 1<<20, o.MaxFrame)
	require.Equal(t, time.Minute, o.IdleTimeout)
	require.Equal(t, 1<<20, o.OutboxBytes)
	require.Equal(t, 10*time.Second, o.OutboxAge)
	require.Equal(t, 5*time.Second, o.CloseTimeout)
	require.Positive(t, o.MaxConnections)
	require.NotNil(t, o.Logger)
	require.Nil(t, o.Subprotocols)
	require.False(t, o.Compress)
}

func TestOptionsAreCopied(t *testing.T) {
	mine := []string{"a", "b"}
	o, err := Config{Subprotocols: mine}.prepare()
	require.NoError(t, err)
	mine[0] = "changed"
	require.Equal(t, []string{"a", "b"}, o.Subprotocols)
}

func TestConnectionsFollowTheOpenFileLimit(t *testing.T) {
	require.Equal(t, 900, connectionsFor(1000))
	require.Equal(t, 1, connectionsFor(0))
	require.Equal(t, 9_000_000, connectionsFor(1<<63))
}
