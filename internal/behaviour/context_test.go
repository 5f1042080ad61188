package behaviour_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/channel"
)

type traceID struct{}

// witness is a channel that keeps the contexts that it was given.
type witness struct {
	blocks    bool // Join waits for its context
	joined    chan error
	join, own context.Context
	ends      func(own, last context.Context)
}

func (w *witness) Join(ctx context.Context, s *channel.Socket, _ channel.Payload) (any, error) {
	w.join, w.own = ctx, s.Context()
	if w.blocks {
		<-ctx.Done()
		w.joined <- ctx.Err()
	}
	return nil, nil
}

func (w *witness) HandleIn(*channel.Socket, string, channel.Payload) channel.Result {
	return channel.NoReply()
}

func (w *witness) Terminate(ctx context.Context, _ *channel.Socket, _ channel.Reason) {
	w.ends(w.own, ctx)
}

// traced is a handler whose connections carry a value.
func traced(t *testing.T, w *witness) *channel.Handler {
	h, err := channel.NewHandler(channel.Handler{
		Connect: func(ctx context.Context, r *channel.ConnectRequest) error {
			r.Context = context.WithValue(ctx, traceID{}, r.Params.String("user"))
			return nil
		},
		Routes: []channel.Route{{Pattern: "*", New: func() channel.Channel { return w }}},
	})
	require.NoError(t, err)
	return h
}

func TestContextsCarryWhatConnectPutIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := false
		w := &witness{ends: func(own, last context.Context) {
			ended = true
			require.Error(t, own.Err(), "the channel's context ends before Terminate")
			require.NoError(t, last.Err(), "that of Terminate does not")
			require.Equal(t, "ann", last.Value(traceID{}))
		}}
		e := start(t, channel.Config{})
		c := connect(t, e, traced(t, w), "ann")
		c.join("room")
		synctest.Wait()
		require.Equal(t, "ann", w.join.Value(traceID{}))
		require.Error(t, w.join.Err(), "Join has returned")
		require.Equal(t, "ann", w.own.Value(traceID{}))
		require.NoError(t, w.own.Err(), "the request's end is not the connection's")
		c.lose()
		synctest.Wait()
		require.True(t, ended)
	})
}

// A Join that waits for something learns that nothing waits for it any more.
func TestTheContextOfJoinEndsWithTheJoin(t *testing.T) {
	for name, giveUp := range map[string]func(c *client){
		"left":    func(c *client) { c.say("1", "2", "room", "phx_leave") },
		"again":   func(c *client) { c.say("3", "3", "room", "phx_join") },
		"dropped": func(c *client) { c.lose() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &witness{blocks: true, joined: make(chan error, 2), ends: func(_, _ context.Context) {}}
				e := start(t, channel.Config{})
				c := connect(t, e, traced(t, w), "ann")
				c.say("1", "1", "room", "phx_join")
				synctest.Wait()
				require.Empty(t, w.joined)
				giveUp(c)
				synctest.Wait()
				require.ErrorIs(t, <-w.joined, context.Canceled)
				time.Sleep(time.Second)
				c.lose()
			})
		})
	}
}
