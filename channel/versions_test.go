package channel

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/channel/wire"
	"github.com/rollcall-go/rollcall/channel/wire/phoenix1"
)

func TestV1CarriesNoBinary(t *testing.T) {
	proves(t, "B041")
	_, err := phoenix1.Protocol{}.Decode(nil, true, []byte(`{"topic":"t","event":"e","payload":{},"ref":"1"}`))
	require.ErrorIs(t, err, wire.ErrNoBinary)
	bubble(t, func(t *testing.T) {
		logger, log := testLog()
		e := startOne(t, Config{Logger: logger})
		var tr trace
		h := handlerOf(script{in: func(s *Socket, event string, payload Payload) Result {
			switch event {
			case "push":
				tr.add("%v", s.Push("e", Binary([]byte{1})))
				return NoReply()
			case "shout":
				must(s.Broadcast("shout", Binary([]byte{1})))
				return NoReply()
			}
			return OK(Binary([]byte{1}))
		}})
		old, current := connect(t, e, h, "vsn=1.0.0"), connect(t, e, h, "")
		old.get(`{"topic":"t","event":"phx_join","payload":{},"ref":"1","join_ref":"1"}`)
		current.get(`["1","1","t","phx_join",{}]`)
		require.Empty(t, old.get(
			`{"topic":"t","event":"push","payload":{},"ref":"2","join_ref":"1"}`,
			`{"topic":"t","event":"shout","payload":{},"ref":"3","join_ref":"1"}`,
		))
		require.Equal(t, []string{`send on "t": channel: version 1 of the protocol carries no binary payload`}, tr.take())
		require.Equal(t, []string{"0201057473686f757401"}, current.take(), "who can be told is told")
		require.Contains(t, log.String(), "version=1.0 topic=t event=shout")
		require.Equal(t, []string{`{"topic":"t","event":"phx_error","payload":{"reason":"channel_crash"},"ref":"1"}`},
			old.get(`{"topic":"t","event":"reply","payload":{},"ref":"4","join_ref":"1"}`))
		require.Contains(t, log.String(), wire.ErrNoBinary.Error())
	})
}

func TestRefOfTheEndOfAChannel(t *testing.T) {
	proves(t, "B057")
	bubble(t, func(t *testing.T) {
		e := startOne(t, Config{})
		h := handlerOf(script{in: func(s *Socket, event string, payload Payload) Result {
			if event == "crash" {
				panic("boom")
			}
			return OK(payload)
		}})
		// Without a join_ref, as phoenix-channels sends: null.
		c := connect(t, e, h, "vsn=1.0.0")
		c.get(`{"topic":"t","event":"phx_join","payload":{},"ref":"1"}`)
		require.Equal(t, []string{`{"topic":"t","event":"phx_reply","payload":{"status":"ok","response":{"a":1}},"ref":"2"}`},
			c.get(`{"topic":"t","event":"ping","payload":{"a":1},"ref":"2"}`))
		require.Equal(t, []string{`{"topic":"t","event":"phx_error","payload":{"reason":"channel_crash"},"ref":null}`},
			c.get(`{"topic":"t","event":"crash","payload":{},"ref":"3"}`))
		c.get(`{"topic":"t","event":"phx_join","payload":{},"ref":"4"}`)
		require.Equal(t, []string{
			`{"topic":"t","event":"phx_reply","payload":{"status":"ok","response":{}},"ref":"5"}`,
			`{"topic":"t","event":"phx_close","payload":{},"ref":null}`,
		}, c.get(`{"topic":"t","event":"phx_leave","payload":{},"ref":"5"}`))
		// With one it counts, stale messages are dropped, and it comes back.
		c.get(`{"topic":"t","event":"phx_join","payload":{},"ref":"6","join_ref":"6"}`)
		require.Equal(t, []string{`{"topic":"t","event":"phx_error","payload":{"reason":"channel_crash"},"ref":"6"}`}, c.get(
			`{"topic":"t","event":"ping","payload":{},"ref":"7","join_ref":"4"}`,
			`{"topic":"t","event":"crash","payload":{},"ref":"8","join_ref":"6"}`,
		))
		// Version 2.
		c = connect(t, e, h, "")
		require.Equal(t, `["1","1","t","phx_error",{"reason":"channel_crash"}]`, c.get(`["1","1","t","phx_join",{}]`, `["1","3","t","crash",{}]`)[1])
		c.get(`["4","4","t","phx_join",{}]`)
		require.Equal(t, `["4","4","t","phx_close",{}]`, c.get(`["4","5","t","phx_leave",{}]`)[1])
	})
}

func TestBothVersionsInOneRoom(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := startOne(t, Config{})
		h := handlerOf(script{})
		old, older, current := connect(t, e, h, "vsn=1.0.0"), connect(t, e, h, "vsn=1.0.7"), connect(t, e, h, "")
		for _, c := range []*client{old, older} {
			c.get(`{"topic":"t","event":"phx_join","payload":{},"ref":"1"}`)
		}
		current.get(`["1","1","t","phx_join",{}]`)
		require.NoError(t, e.Broadcast("t", "e", map[string]int{"n": 1}))
		require.Equal(t, []string{`[null,null,"t","e",{"n":1}]`}, current.take())
		frame := old.link.frames[0]
		require.Same(t, frame, older.link.frames[0], "encoded once per version")
		require.Equal(t, `{"topic":"t","event":"e","payload":{"n":1},"ref":null}`, string(frame.Data))
	})
}
