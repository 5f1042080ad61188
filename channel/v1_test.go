package channel

import (
	"encoding/json"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func TestV1DecodesWhatClientsSend(t *testing.T) {
	proves(t, "B031", "B034")
	for _, c := range []struct {
		frame string
		want  Message
	}{
		// realtime-js, which names its join; phoenix-channels, which does not
		{`{"topic":"realtime:room1","event":"phx_join","payload":{"config":{}},"ref":"6","join_ref":"6"}`, Message{JoinRef: StringRef("6"), Ref: StringRef("6"), Topic: "realtime:room1", Event: "phx_join", Payload: rawPayload([]byte(`{"config":{}}`))}},
		{`{"topic":"room:lobby","event":"phx_join","payload":{"p":1},"ref":"1"}`, Message{Ref: StringRef("1"), Topic: "room:lobby", Event: "phx_join", Payload: rawPayload([]byte(`{"p":1}`))}},
		{`{"topic":"phoenix","event":"heartbeat","payload":null,"ref":null,"join_ref":null}`, Message{Topic: "phoenix", Event: "heartbeat"}},
		{` { "ref" : 2.50 , "join_ref":"", "payload" : [ 1 ], "event":"\u00e9","topic":"t","more":{"ref":1}} `, Message{JoinRef: StringRef(""), Ref: Ref{text: "2.50"}, Topic: "t", Event: "é", Payload: rawPayload([]byte(`[1]`))}},
		{`{"topic":"t","event":"e","payload":{},"ref":"1","Ref":"2","TOPIC":5}`, Message{Ref: StringRef("1"), Topic: "t", Event: "e", Payload: rawPayload([]byte(`{}`))}},
	} {
		got, err := v1{}.Decode(false, []byte(c.frame))
		require.NoError(t, err, c.frame)
		require.Equal(t, c.want, got, c.frame)
	}
}

func TestV1RefusesMalformedFrames(t *testing.T) {
	proves(t, "B032", "B042")
	for _, frame := range []string{
		``, `x`, `null`, `1`, `"s"`, `{}`, `[]`, `["1","1","t","e",{}]`, `{"topic":"t","event":"e","payload":{},"ref":"1"`,
		`{"event":"e","payload":{},"ref":"1"}`, `{"topic":"t","payload":{},"ref":"1"}`, `{"topic":"t","event":"e","ref":"1"}`,
		`{"topic":"t","event":"e","payload":{}}`, `{"topic":"t","event":"e","payload":{},"join_ref":"1"}`,
		`{"topic":null,"event":"e","payload":{},"ref":"1"}`, `{"topic":"t","event":5,"payload":{},"ref":"1"}`,
		`{"topic":"t","event":"e","payload":{},"ref":{}}`, `{"topic":"t","event":"e","payload":{},"ref":"1","join_ref":true}`,
	} {
		_, err := v1{}.Decode(false, []byte(frame))
		require.Error(t, err, frame)
	}
}

func TestV1EncodesText(t *testing.T) {
	proves(t, "B031", "B035")
	for _, c := range []struct {
		message Message
		want    string
	}{
		{Message{Kind: KindPush, JoinRef: StringRef("1"), Topic: "a\"b", Event: "é</script>", Payload: rawPayload([]byte(`{"x":1}`))}, `{"topic":"a\"b","event":"é</script>","payload":{"x":1},"ref":null}`},
		{Message{Kind: KindBroadcast, Topic: "t", Event: "e"}, `{"topic":"t","event":"e","payload":{},"ref":null}`},
		{Message{Kind: KindReply, JoinRef: Ref{text: "1"}, Ref: Ref{text: "2.50"}, Topic: "t", Status: "ok", Payload: rawPayload([]byte(`[1]`))}, `{"topic":"t","event":"phx_reply","payload":{"status":"ok","response":[1]},"ref":2.50}`},
	} {
		f, err := v1{}.Encode(c.message)
		require.NoError(t, err)
		require.Equal(t, c.want, string(f.Data))
		require.Equal(t, c.message.Kind == KindBroadcast, f.Shared)
		require.False(t, f.Binary)
	}
}

func TestV1CarriesNoBinary(t *testing.T) {
	proves(t, "B041")
	_, err := v1{}.Decode(true, []byte(`{"topic":"t","event":"e","payload":{},"ref":"1"}`))
	require.ErrorIs(t, err, ErrNoBinary)
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
		require.Contains(t, log.String(), ErrNoBinary.Error())
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

func FuzzV1Decode(f *testing.F) {
	f.Add([]byte(`{"topic":"room:lobby","event":"phx_join","payload":{"p":1},"ref":"1"}`))
	f.Add([]byte(`{"topic":"realtime:room1","event":"broadcast","payload":{"type":"broadcast","event":"cur","payload":{"x":1}},"ref":"7","join_ref":"6"}`))
	f.Add([]byte(`{"ref":-1.5e3,"topic":"\ud800","event":"\u0000","payload":[1,{"a":"\u2028"}],"join_ref":null,"ref":2}`))
	f.Add([]byte(`{"topic":null,"event":null,"payload":null,"ref":null}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if !utf8.Valid(data) {
			return // checked before
		}
		m, err := v1{}.Decode(false, data)
		if err != nil {
			return
		}
		frame, err := v1{}.Encode(m)
		require.NoError(t, err)
		require.True(t, json.Valid(frame.Data), "%s", frame.Data)
		again, err := v1{}.Decode(false, frame.Data)
		require.NoError(t, err, "%s", frame.Data)
		m.JoinRef = Ref{} // is not sent
		require.Equal(t, m.Payload.JSON(), again.Payload.JSON())
		m.Payload, again.Payload = Payload{}, Payload{}
		require.Equal(t, m, again)
		frame, err = v1{}.Encode(reply(m.JoinRef, m.Ref, m.Topic, "ok", rawPayload([]byte(`{}`))))
		require.NoError(t, err)
		require.True(t, json.Valid(frame.Data), "%s", frame.Data)
	})
}
