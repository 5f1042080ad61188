package channel

import (
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func TestNegotiation(t *testing.T) {
	proves(t, "B004", "B005")
	for vsn, ok := range map[string]bool{
		"2.0.0": true, "2.0.7": true, "2.0.70": true, "1.0.0": true, "1.0.12": true,
		"2.1.0": false, "1.1.0": false, "0.0.0": false, "3.0.0": false, "123.1.1": false, "2": false, "2.0": false, "": false,
		"2.0.0.0": false, "2.0.x": false, "02.0.0": false, "+2.0.0": false, "2.0.-1": false,
		"2.0.0-dev": false, "99999999999999999999.0.0": false,
	} {
		d, err := negotiate(nil, vsn)
		if ok {
			require.NoError(t, err, vsn)
			require.Equal(t, map[byte]Serializer{'1': v1{}, '2': v2{}}[vsn[0]], d.Serializer, vsn)
		} else {
			require.ErrorIs(t, err, ErrVersion, vsn)
		}
	}
}

func TestV2DecodesWhatClientsSend(t *testing.T) {
	proves(t, "B033", "B034")
	for _, c := range []struct {
		frame string
		want  Message
	}{
		{`["4","4","room:lobby","phx_join",{"p":1}]`, Message{JoinRef: StringRef("4"), Ref: StringRef("4"), Topic: "room:lobby", Event: "phx_join", Payload: rawPayload([]byte(`{"p":1}`))}},
		{`[null,"7","phoenix","heartbeat",{}]`, Message{Ref: StringRef("7"), Topic: "phoenix", Event: "heartbeat", Payload: rawPayload([]byte(`{}`))}},
		{`["","6","phoenix","heartbeat",null]`, Message{JoinRef: StringRef(""), Ref: StringRef("6"), Topic: "phoenix", Event: "heartbeat"}},
		{` [ 1 , 2.50 , "t" , "e" , { "a" : [ 1 ] } , "more", 6 ] `, Message{JoinRef: Ref{text: "1"}, Ref: Ref{text: "2.50"}, Topic: "t", Event: "e", Payload: rawPayload([]byte(`{"a":[1]}`))}},
		{`["\u0031",null,"\u00e9\n","e",[1]]`, Message{JoinRef: StringRef("1"), Topic: "é\n", Event: "e", Payload: rawPayload([]byte(`[1]`))}},
	} {
		got, err := v2{}.Decode(false, []byte(c.frame))
		require.NoError(t, err, c.frame)
		require.Equal(t, c.want, got, c.frame)
	}
}

func TestV2RefusesMalformedFrames(t *testing.T) {
	proves(t, "B040", "B042")
	for _, frame := range []string{
		``, `x`, `null`, `1`, `"s"`, `{}`, `[]`, `["1","1","t","e"]`, `[{},"1","t","e",{}]`, `["1",[],"t","e",{}]`, `["1",true,"t","e",{}]`,
		`["1","1",null,"e",{}]`, `["1","1","t",5,{}]`, `["1","1","t","e",{}`, `["1","1","t","e",{}]]`,
		`{"topic":"t","event":"e","payload":{},"ref":"1"}`,
		strings.Repeat("[", 100_000),
	} {
		_, err := v2{}.Decode(false, []byte(frame))
		require.Error(t, err, "%.60s", frame)
	}
	for _, frame := range []string{
		"", "00", "0001010203", "010101010131313131", "020101313162", "000101c80131", "5b2231225d", "0000000100ff", "0001000000ff",
	} {
		data, err := hex.DecodeString(frame)
		require.NoError(t, err, frame)
		_, err = v2{}.Decode(true, data)
		require.Error(t, err, frame)
	}
}

func TestV2BinaryVectors(t *testing.T) {
	proves(t, "B039")
	bin := Payload{data: []byte("efg"), binary: true}
	m, err := v2{}.Decode(true, []byte("\x00\x02\x03\x05\x0512123topiceventefg"))
	require.NoError(t, err)
	require.Equal(t, Message{JoinRef: StringRef("12"), Ref: StringRef("123"), Topic: "topic", Event: "event", Payload: bin}, m)
	for _, c := range []struct {
		message Message
		want    string
	}{
		{Message{Kind: KindPush, JoinRef: StringRef("12"), Topic: "topic", Event: "event", Payload: bin}, "\x00\x02\x05\x0512topiceventefg"},
		{Message{Kind: KindReply, JoinRef: StringRef("12"), Ref: StringRef("123"), Topic: "topic", Status: "ok", Payload: bin}, "\x01\x02\x03\x05\x0212123topicokefg"},
		{Message{Kind: KindBroadcast, Topic: "topic", Event: "event", Payload: bin}, "\x02\x05\x05topiceventefg"},
	} {
		f, err := v2{}.Encode(c.message)
		require.NoError(t, err)
		require.True(t, f.Binary)
		require.Equal(t, c.want, string(f.Data))
	}
	most, long := strings.Repeat("é", 127)+"e", strings.Repeat("é", 128)
	for _, kind := range []Kind{KindPush, KindReply, KindBroadcast} {
		m := Message{Kind: kind, Topic: most, Event: most, Status: most, JoinRef: StringRef(most), Ref: StringRef(most), Payload: bin}
		_, err = v2{}.Encode(m)
		require.NoError(t, err)
		faults := 0
		for _, change := range []func(*Message){
			func(m *Message) { m.Topic = long }, func(m *Message) { m.Event = long }, func(m *Message) { m.Status = long },
			func(m *Message) { m.JoinRef = StringRef(long) }, func(m *Message) { m.Ref = StringRef(long) },
		} {
			m := m
			change(&m)
			if _, err = (v2{}).Encode(m); err != nil {
				require.ErrorIs(t, err, ErrTooLong)
				faults++
			}
		}
		require.Equal(t, map[Kind]int{KindPush: 3, KindReply: 4, KindBroadcast: 2}[kind], faults, "the names that its frame has")
	}
}

func TestV2EncodesText(t *testing.T) {
	proves(t, "B035", "B036", "B037")
	for _, c := range []struct {
		message Message
		want    string
	}{
		{Message{Kind: KindPush, JoinRef: StringRef("1"), Topic: "a\"b", Event: "é</script>", Payload: rawPayload([]byte(`{"x":1}`))}, `["1",null,"a\"b","é</script>",{"x":1}]`},
		{Message{Kind: KindBroadcast, Topic: "t", Event: "e"}, `[null,null,"t","e",{}]`},
		{Message{Kind: KindReply, JoinRef: Ref{text: "1"}, Ref: Ref{text: "2.50"}, Topic: "t", Status: "ok", Payload: rawPayload([]byte(`[1]`))}, `[1,2.50,"t","phx_reply",{"status":"ok","response":[1]}]`},
	} {
		f, err := v2{}.Encode(c.message)
		require.NoError(t, err)
		require.Equal(t, c.want, string(f.Data))
		require.Equal(t, c.message.Kind == KindBroadcast, f.Shared)
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
		m, err := v2{}.Decode(binary, data)
		if err != nil {
			return
		}
		// What it is answered with can be read again, refs unchanged.
		frame, err := v2{}.Encode(reply(m.JoinRef, m.Ref, m.Topic, "ok", rawPayload([]byte(`{}`))))
		require.NoError(t, err)
		again, err := v2{}.Decode(false, frame.Data)
		require.NoError(t, err, "%s", frame.Data)
		require.Equal(t, m.JoinRef, again.JoinRef)
		require.Equal(t, m.Ref, again.Ref)
		require.Equal(t, m.Topic, again.Topic)
		require.Equal(t, m.Ref, throughText(again.Ref))
		if !m.Payload.IsBinary() {
			frame, err := v2{}.Encode(m)
			require.NoError(t, err)
			again, err := v2{}.Decode(false, frame.Data)
			require.NoError(t, err, "%s", frame.Data)
			require.Equal(t, m.Payload.JSON(), again.Payload.JSON())
		}
	})
}

// throughText goes through the ref's text, which binary frames carry.
func throughText(r Ref) Ref {
	if r.text != "" && r.text[0] == '"' {
		return StringRef(r.String())
	}
	return r
}

// What encoding/json makes of an array, and of what is none.
func TestElementsAreThoseThatEncodingJSONFinds(t *testing.T) {
	for _, text := range []string{
		`[]`, ` [ ] `, `[1]`, "\t[ null ,\"a\\\"],[\" , {\"b\":[1,{}],\"c\":\"}\"} , [[],[2]] ,-1e3,true, \"\\\\\" ]\n",
		`["1","2","t","e",{"]":"["}]`, `[1,2,3,4,5,6,7]`, `[[[[[]]]]]`, `[""]`,
		`null`, ` null`, `{}`, `"[]"`, `1`, ``, ` `, `[`, `[1`, `[1,]`, `[,1]`, `[]]`, `[] []`, `["a]`, `[1 2]`, `]`,
	} {
		var want []json.RawMessage
		wantErr := json.Unmarshal([]byte(text), &want)
		var parts [5]json.RawMessage
		n, err := elements([]byte(text), parts[:])
		require.Equal(t, wantErr, err, text)
		if err == nil {
			require.Len(t, want, n, text)
			for i := range min(n, len(parts)) {
				require.Equal(t, string(want[i]), string(parts[i]), text)
			}
		}
	}
}
