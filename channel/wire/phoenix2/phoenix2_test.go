package phoenix2

import (
	"encoding/hex"
	"strings"
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

func bytesPayload(text string) wire.Payload {
	p, err := wire.NewPayload(wire.Binary(text))
	if err != nil {
		panic(err)
	}
	return p
}

func TestV2DecodesWhatClientsSend(t *testing.T) {
	for _, c := range []struct {
		frame string
		want  wire.Message
	}{
		{`["4","4","room:lobby","phx_join",{"p":1}]`, wire.Message{JoinRef: wire.StringRef("4"), Ref: wire.StringRef("4"), Topic: "room:lobby", Event: "phx_join", Payload: wire.RawPayload([]byte(`{"p":1}`))}},
		{`[null,"7","phoenix","heartbeat",{}]`, wire.Message{Ref: wire.StringRef("7"), Topic: "phoenix", Event: "heartbeat", Payload: wire.RawPayload([]byte(`{}`))}},
		{`["","6","phoenix","heartbeat",null]`, wire.Message{JoinRef: wire.StringRef(""), Ref: wire.StringRef("6"), Topic: "phoenix", Event: "heartbeat"}},
		{` [ 1 , 2.50 , "t" , "e" , { "a" : [ 1 ] } , "more", 6 ] `, wire.Message{JoinRef: ref(t, "1"), Ref: ref(t, "2.50"), Topic: "t", Event: "e", Payload: wire.RawPayload([]byte(`{"a":[1]}`))}},
		{`["\u0031",null,"\u00e9\n","e",[1]]`, wire.Message{JoinRef: wire.StringRef("1"), Topic: "é\n", Event: "e", Payload: wire.RawPayload([]byte(`[1]`))}},
	} {
		got, err := decode(false, []byte(c.frame))
		require.NoError(t, err, c.frame)
		require.Equal(t, c.want, got, c.frame)
	}
}

func TestV2RefusesMalformedFrames(t *testing.T) {
	for _, frame := range []string{
		``, `x`, `null`, `1`, `"s"`, `{}`, `[]`, `["1","1","t","e"]`, `[{},"1","t","e",{}]`, `["1",[],"t","e",{}]`, `["1",true,"t","e",{}]`,
		`["1","1",null,"e",{}]`, `["1","1","t",5,{}]`, `["1","1","t","e",{}`, `["1","1","t","e",{}]]`,
		`{"topic":"t","event":"e","payload":{},"ref":"1"}`,
		strings.Repeat("[", 100_000),
	} {
		_, err := decode(false, []byte(frame))
		require.Error(t, err, "%.60s", frame)
	}
	for _, frame := range []string{
		"", "00", "0001010203", "010101010131313131", "020101313162", "000101c80131", "5b2231225d", "0000000100ff", "0001000000ff",
	} {
		data, err := hex.DecodeString(frame)
		require.NoError(t, err, frame)
		_, err = decode(true, data)
		require.Error(t, err, frame)
	}
}

func TestV2BinaryVectors(t *testing.T) {
	bin := bytesPayload("efg")
	m, err := decode(true, []byte("\x00\x02\x03\x05\x0512123topiceventefg"))
	require.NoError(t, err)
	require.Equal(t, wire.Message{JoinRef: wire.StringRef("12"), Ref: wire.StringRef("123"), Topic: "topic", Event: "event", Payload: bin}, m)
	for _, c := range []struct {
		message wire.Message
		want    string
	}{
		{wire.Message{Kind: wire.KindPush, JoinRef: wire.StringRef("12"), Topic: "topic", Event: "event", Payload: bin}, "\x00\x02\x05\x0512topiceventefg"},
		{wire.Message{Kind: wire.KindReply, JoinRef: wire.StringRef("12"), Ref: wire.StringRef("123"), Topic: "topic", Status: "ok", Payload: bin}, "\x01\x02\x03\x05\x0212123topicokefg"},
		{wire.Message{Kind: wire.KindBroadcast, Topic: "topic", Event: "event", Payload: bin}, "\x02\x05\x05topiceventefg"},
	} {
		f, err := encode(c.message)
		require.NoError(t, err)
		require.True(t, f.Binary)
		require.Equal(t, c.want, string(f.Data))
	}
	most, long := strings.Repeat("é", 127)+"e", strings.Repeat("é", 128)
	for _, kind := range []wire.Kind{wire.KindPush, wire.KindReply, wire.KindBroadcast} {
		m := wire.Message{Kind: kind, Topic: most, Event: most, Status: most, JoinRef: wire.StringRef(most), Ref: wire.StringRef(most), Payload: bin}
		_, err = encode(m)
		require.NoError(t, err)
		faults := 0
		for _, change := range []func(*wire.Message){
			func(m *wire.Message) { m.Topic = long }, func(m *wire.Message) { m.Event = long }, func(m *wire.Message) { m.Status = long },
			func(m *wire.Message) { m.JoinRef = wire.StringRef(long) }, func(m *wire.Message) { m.Ref = wire.StringRef(long) },
		} {
			m := m
			change(&m)
			if _, err = encode(m); err != nil {
				require.ErrorIs(t, err, wire.ErrTooLong)
				faults++
			}
		}
		require.Equal(t, map[wire.Kind]int{wire.KindPush: 3, wire.KindReply: 4, wire.KindBroadcast: 2}[kind], faults, "the names that its frame has")
	}
}

func TestV2EncodesText(t *testing.T) {
	for _, c := range []struct {
		message wire.Message
		want    string
	}{
		{wire.Message{Kind: wire.KindPush, JoinRef: wire.StringRef("1"), Topic: "a\"b", Event: "é</script>", Payload: wire.RawPayload([]byte(`{"x":1}`))}, `["1",null,"a\"b","é</script>",{"x":1}]`},
		{wire.Message{Kind: wire.KindBroadcast, Topic: "t", Event: "e"}, `[null,null,"t","e",{}]`},
		{wire.Message{Kind: wire.KindReply, JoinRef: ref(t, "1"), Ref: ref(t, "2.50"), Topic: "t", Status: "ok", Payload: wire.RawPayload([]byte(`[1]`))}, `[1,2.50,"t","phx_reply",{"status":"ok","response":[1]}]`},
	} {
		f, err := encode(c.message)
		require.NoError(t, err)
		require.Equal(t, c.want, string(f.Data))
		require.False(t, f.Shared)
	}
}

func FuzzV2Decode(f *testing.F) {
	f.Add(false, []byte(`["4","4","room:lobby","phx_join",{"p":1}]`))
	f.Add(false, []byte(`["",6,"phoenix","heartbeat",null]`))
	f.Add(false, []byte(`[null,-1.5e3,"\ud800","\u0000",[1,{"a":"\u2028"}],5]`))
	f.Add(true, []byte("\x00\x02\x03\x05\x0512123topiceventefg"))
	f.Add(true, []byte("\x00\x01\x01\xc8\x01\x31"))
	f.Fuzz(func(t *testing.T, binary bool, data []byte) {
		if !binary && !utf8.Valid(data) {
			return // checked before
		}
		m, err := decode(binary, data)
		if err != nil {
			return
		}
		// What it is answered with can be read again, refs unchanged.
		frame, err := encode(wire.Reply(m.JoinRef, m.Ref, m.Topic, "ok", wire.RawPayload([]byte(`{}`))))
		require.NoError(t, err)
		again, err := decode(false, frame.Data)
		require.NoError(t, err, "%s", frame.Data)
		require.Equal(t, m.JoinRef, again.JoinRef)
		require.Equal(t, m.Ref, again.Ref)
		require.Equal(t, m.Topic, again.Topic)
		require.Equal(t, m.Ref, throughText(again.Ref))
		if !m.Payload.IsBinary() {
			frame, err := encode(m)
			require.NoError(t, err)
			again, err := decode(false, frame.Data)
			require.NoError(t, err, "%s", frame.Data)
			require.Equal(t, m.Payload.JSON(), again.Payload.JSON())
		}
	})
}

// throughText goes through the ref's text, which binary frames carry.
func throughText(r wire.Ref) wire.Ref {
	if text := r.AppendJSON(nil); text[0] == '"' {
		return wire.StringRef(r.String())
	}
	return r
}

func TestABroadcastIsShared(t *testing.T) {
	for _, payload := range []wire.Payload{{}, bytesPayload("x")} {
		m := wire.Message{Kind: wire.KindBroadcast, Topic: "t", Event: "e", Payload: payload}
		want, err := encode(m)
		require.NoError(t, err)
		frames, err := Protocol{}.Broadcast(nil, m)
		require.NoError(t, err)
		require.Len(t, frames, 1)
		require.True(t, frames[0].Shared)
		require.Equal(t, want.Data, frames[0].Data)
	}
}
