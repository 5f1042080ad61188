package longpoll

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/bus"
	"github.com/rollcall-go/rollcall/transport/membus"
	"github.com/rollcall-go/rollcall/transport/origin"
)

func TestNewReportsAllFaultsAtOnce(t *testing.T) {
	_, err := New(nil, nil, Config{
		CheckOrigin: origin.List("example.com"), Bus: membus.New(membus.MaxPayload(100)).Bus(), Secret: []byte("short"),
		TokenAge: -1, Window: -2, RelayTimeout: -3, BodyTimeout: -4, MaxSessions: -5, MaxBody: -6, MaxFrame: -7, BufferBytes: -8, MaxBodies: -9,
	})
	require.Error(t, err)
	require.True(t, strings.HasPrefix(err.Error(), "longpoll: "))
	for _, part := range []string{
		"endpoint is nil", "handler is nil", `CheckOrigin: origin "example.com" has no host`, "Secret: 5 bytes, at least 32", "Bus: carries messages of 100 bytes",
		"TokenAge: -1ns", "Window: -2ns", "RelayTimeout: -3ns", "BodyTimeout: -4ns", "MaxSessions: -5", "MaxBody: -6", "MaxFrame: -7", "BufferBytes: -8", "MaxBodies: -9",
	} {
		require.ErrorContains(t, err, part)
	}
	_, err = New(nil, nil, Config{Bus: membus.New().Bus()})
	require.ErrorContains(t, err, "Secret: required with a Bus")
}

func TestZeroOptionsHaveTheDocumentedDefaults(t *testing.T) {
	o, err := Config{}.prepare()
	require.NoError(t, err)
	require.Len(t, o.Secret, 32)
	other, err := Config{}.prepare()
	require.NoError(t, err)
	require.NotEqual(t, o.Secret, other.Secret)
	require.Equal(t, bus.LaneLongPoll, o.Lane)
	require.Equal(t, 336*time.Hour, o.TokenAge)
	require.Equal(t, 10*time.Second, o.Window)
	require.Equal(t, 2*time.Second, o.RelayTimeout)
	require.Equal(t, 10*time.Second, o.BodyTimeout)
	require.Equal(t, 10_000, o.MaxSessions)
	require.Equal(t, 8_000_000, o.MaxBody)
	require.Equal(t, 256<<20, o.MaxBodies)
	require.Equal(t, 1<<20, o.MaxFrame)
	require.Equal(t, 1<<20, o.BufferBytes)
	require.NotNil(t, o.Logger)
}

func TestTheSecretIsCopied(t *testing.T) {
	mine := bytes.Clone(testSecret)
	o, err := Config{Secret: mine}.prepare()
	require.NoError(t, err)
	mine[0]++
	require.Equal(t, testSecret, o.Secret)
}

// A message is refused by every replica alike, not only by those that would
// have to pass it on.
func TestMessagesAreNoLargerThanTheBusCarries(t *testing.T) {
	o, err := Config{Secret: testSecret, Bus: membus.New(membus.MaxPayload(5000)).Bus()}.prepare()
	require.NoError(t, err)
	require.Equal(t, 5000-askOverhead, o.MaxFrame)
	whole := wireMessage{kind: kindPublish, data: appendEntry(nil, entry{data: make([]byte, o.MaxFrame)})}.encode()
	require.LessOrEqual(t, len(whole), 5000)
}
