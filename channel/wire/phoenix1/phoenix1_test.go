package phoenix1

import (
	"encoding/json"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/rollcall-go/rollcall/channel/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// decode decodes a frame, which is one message.
func decode(binary bool, data []byte) (m wire.Message, err error) {
	messages, err := Protocol{}.Decode(nil, binary, data)
	if err == nil {
		m = messages[0]
	}
	return m, err
}

// encode encodes a message, which is one frame.
func encode(m wire.Message) (*wire.Frame, error) {
	frames, err := Protocol{}.Encode(nil, m)
	if err != nil {
		return nil, err
	}
	return frames[0], nil
}

// ref is the ref that is said as text.
func ref(t *testing.T, text string) wire.Ref {
	t.Helper()
	r, err := wire.ParseRef([]byte(text))
	require.NoError(t, err)
	require.Equal(t, text, string(r.AppendJSON(nil)))
	return r
}

func TestV1DecodesWhatClientsSend(t *testing.T) {
	for _, c := range []struct {
		frame string
		want  wire.Message
	}{
		// realtime-js, which names its join; phoenix-channels, which does not
		{`{"topic":"realtime:room1","event":"phx_join","payload":{"config":{}},"ref":"6","join_ref":"6"}`, wire.Message{JoinRef: wire.StringRef("6"), Ref: wire.StringRef("6"), Topic: "realtime:room1", Event: "phx_join", Payload: wire.RawPayload([]byte(`{"config":{}}`))}},
		{`{"topic":"room:lobby","event":"phx_join","payload":{"p":1},"ref":"1"}`, wire.Message{Ref: wire.StringRef("1"), Topic: "room:lobby", Event: "phx_join", Payload: wire.RawPayload([]byte(`{"p":1}`))}},
		{`{"topic":"phoenix","event":"heartbeat","payload":null,"ref":null,"join_ref":null}`, wire.Message{Topic: "phoenix", Event: "heartbeat"}},
		{` { "ref" : 2.50 , "join_ref":"", "payload" : [ 1 ], "event":"\u00e9","topic":"t","more":{"ref":1}} `, wire.Message{JoinRef: wire.StringRef(""), Ref: ref(t, "2.50"), Topic: "t", Event: "é", Payload: wire.RawPayload([]byte(`[1]`))}},
		{`{"topic":"t","event":"e","payload":{},"ref":"1","Ref":"2","TOPIC":5}`, wire.Message{Ref: wire.StringRef("1"), Topic: "t", Event: "e", Payload: wire.RawPayload([]byte(`{}`))}},
	} {
		got, err := decode(false, []byte(c.frame))
		require.NoError(t, err, c.frame)
		require.Equal(t, c.want, got, c.frame)
	}
}

func TestV1RefusesMalformedFrames(t *testing.T) {
	for _, frame := range []string{
		``, `x`, `null`, `1`, `"s"`, `{}`, `[]`, `["1","1","t","e",{}]`, `{"topic":"t","event":"e","payload":{},"ref":"1"`,
		`{"event":"e","payload":{},"ref":"1"}`, `{"topic":"t","payload":{},"ref":"1"}`, `{"topic":"t","event":"e","ref":"1"}`,
		`{"topic":"t","event":"e","payload":{}}`, `{"topic":"t","event":"e","payload":{},"join_ref":"1"}`,
		`{"topic":null,"event":"e","payload":{},"ref":"1"}`, `{"topic":"t","event":5,"payload":{},"ref":"1"}`,
		`{"topic":"t","event":"e","payload":{},"ref":{}}`, `{"topic":"t","event":"e","payload":{},"ref":"1","join_ref":true}`,
	} {
		_, err := decode(false, []byte(frame))
		require.Error(t, err, frame)
	}
}

func TestV1EncodesText(t *testing.T) {
	for _, c := range []struct {
		message wire.Message
		want    string
	}{
		{wire.Message{Kind: wire.KindPush, JoinRef: wire.StringRef("1"), Topic: "a\"b", Event: "é</script>", Payload: wire.RawPayload([]byte(`{"x":1}`))}, `{"topic":"a\"b","event":"é</script>","payload":{"x":1},"ref":null}`},
		{wire.Message{Kind: wire.KindBroadcast, Topic: "t", Event: "e"}, `{"topic":"t","event":"e","payload":{},"ref":null}`},
		{wire.Message{Kind: wire.KindReply, JoinRef: ref(t, "1"), Ref: ref(t, "2.50"), Topic: "t", Status: "ok", Payload: wire.RawPayload([]byte(`[1]`))}, `{"topic":"t","event":"phx_reply","payload":{"status":"ok","response":[1]},"ref":2.50}`},
	} {
		f, err := encode(c.message)
		require.NoError(t, err)
		require.Equal(t, c.want, string(f.Data))
		require.False(t, f.Shared)
		require.False(t, f.Binary)
	}
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
		m, err := decode(false, data)
		if err != nil {
			return
		}
		frame, err := encode(m)
		require.NoError(t, err)
		require.True(t, json.Valid(frame.Data), "%s", frame.Data)
		again, err := decode(false, frame.Data)
		require.NoError(t, err, "%s", frame.Data)
		m.JoinRef = wire.Ref{} // is not sent
		require.Equal(t, m.Payload.JSON(), again.Payload.JSON())
		m.Payload, again.Payload = wire.Payload{}, wire.Payload{}
		require.Equal(t, m, again)
		frame, err = encode(wire.Reply(m.JoinRef, m.Ref, m.Topic, "ok", wire.RawPayload([]byte(`{}`))))
		require.NoError(t, err)
		require.True(t, json.Valid(frame.Data), "%s", frame.Data)
	})
}

func TestABroadcastIsShared(t *testing.T) {
	frames, err := Protocol{}.Broadcast(nil, wire.Message{Kind: wire.KindBroadcast, Topic: "t", Event: "e"})
	require.NoError(t, err)
	require.Len(t, frames, 1)
	require.True(t, frames[0].Shared)
}
