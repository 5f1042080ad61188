package presence_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/presence"
	"github.com/rollcall-go/rollcall/transport/membus"
)

// logged keeps lines, in short: "WARN us down: gone from the network".
type logged struct {
	t     *testing.T
	mu    sync.Mutex
	lines []string
}

func (l *logged) Write(line []byte) (int, error) {
	var v struct {
		Level, Msg, Status, Why, Replica, Self string
		Epoch                                  uint64
	}
	if err := json.NewDecoder(bytes.NewReader(line)).Decode(&v); err != nil {
		return 0, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if v.Level == "DEBUG" {
		return len(line), nil
	}
	if v.Epoch == 0 || v.Self != "eu" || v.Msg != "presence: replica "+v.Status {
		l.t.Errorf("incomplete: %s", line)
	}
	text := fmt.Sprint(v.Level, " ", v.Replica, " ", v.Status)
	if v.Why != "" {
		text += ": " + v.Why
	}
	l.lines = append(l.lines, text)
	return len(line), nil
}

// during returns what was logged while f ran and d passed.
func (l *logged) during(d time.Duration, f func()) string {
	f()
	time.Sleep(d)
	synctest.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	lines := l.lines
	l.lines = nil
	return strings.Join(lines, "\n")
}

func TestEveryChangeOfStatusIsLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := membus.New()
		log := &logged{t: t}
		bus := net.Bus()
		eu, err := presence.Start(t.Context(), presence.Config{Name: "eu", Bus: bus, Logger: slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
		require.NoError(t, err)
		defer func() { require.NoError(t, eu.Close(context.Background())) }()
		require.Empty(t, log.during(2*time.Second, func() {}))

		var us *presence.Tracker
		usBus := net.Bus()
		require.Equal(t, "INFO us up", log.during(2*time.Second, func() { us = start(t, "us", usBus) }))
		require.Equal(t, "WARN us down: gone from the network", log.during(5*time.Second, usBus.Disconnect))
		require.Equal(t, "INFO us up", log.during(5*time.Second, usBus.Reconnect))
		require.Equal(t, "WARN us down: gone from the network\nWARN us permanently down", log.during(21*time.Minute, usBus.Disconnect))
		require.Equal(t, "INFO us up", log.during(5*time.Second, usBus.Reconnect))

		require.Equal(t, "WARN eu isolated: verdicts on others wait\nWARN us down: we are isolated", log.during(time.Minute, bus.Disconnect))
		require.Equal(t, "INFO eu connected again\nINFO us up", log.during(5*time.Second, bus.Reconnect))

		require.Equal(t, "INFO us left", log.during(5*time.Second, func() { require.NoError(t, us.Close(t.Context())) }))
		killed := net.Bus()
		require.Equal(t, "INFO us up", log.during(2*time.Second, func() { start(t, "us", killed) }))
		require.Equal(t, "INFO us restarted\nINFO us up", log.during(time.Second, func() {
			killed.Disconnect()
			start(t, "us", net.Bus())
		}))

		twin := net.Bus()
		require.Equal(t, "WARN eu fenced: duplicate replica name, another process of it lives", log.during(5*time.Second, func() { start(t, "eu", twin) }))
		require.Contains(t, log.during(time.Minute, twin.Disconnect), "INFO eu fresh epoch")
	})
}
