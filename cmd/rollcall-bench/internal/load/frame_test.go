package load

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAFrameIsSplitIntoItsParts(t *testing.T) {
	f, err := parseFrame([]byte(`["1",null,"room:a\"]","phx_reply",{"status":"ok","x":[1,"]"]}]`))
	require.NoError(t, err)
	require.Equal(t, "1", string(f.joinRef))
	require.Nil(t, f.ref)
	require.Equal(t, `room:a\"]`, string(f.topic))
	require.Equal(t, "phx_reply", string(f.event))
	require.Equal(t, `{"status":"ok","x":[1,"]"]}`, string(f.payload))
}

func TestAMalformedFrameIsAnError(t *testing.T) {
	for _, text := range []string{
		``, `[`, `]`, `{}`, `[]`, `["1","2","t","e"]`, `["1","2","t","e",]`, `[1,"2","t","e",{}]`, `["1","2",null,"e",{}]`, `["1","2","t",null,{}]`,
		`["1","2","t","e",{}`, `["1,"2","t","e",{}]`, `["1" "2","t","e",{}]`,
	} {
		_, err := parseFrame([]byte(text))
		require.ErrorIs(t, err, errFrame, text)
	}
}

func TestFramesOfClientsAreJSON(t *testing.T) {
	for _, test := range []struct{ frame, want string }{
		{string(joinFrame("room:x", 7, 12)), `["1","j","room:x","phx_join",{"key":"u000007","meta":{"n":12}}]`},
		{string(leaveFrame("room:x")), `["1","l","room:x","phx_leave",{}]`},
		{heartbeatFrame, `[null,"h","phoenix","heartbeat",{}]`},
	} {
		require.Equal(t, test.want, test.frame)
		require.True(t, json.Valid([]byte(test.frame)))
	}
}

func TestPublishedPayloadHasItsSizeAndNumber(t *testing.T) {
	for _, size := range []int{minPayload, 128, maxPayload} {
		for _, seq := range []int64{1, 99_999_999_999_999_999} {
			f, err := parseFrame(publishFrame(nil, "room:x", seq, size))
			require.NoError(t, err)
			var p struct {
				Event   string          `json:"event"`
				Payload json.RawMessage `json:"payload"`
			}
			require.NoError(t, json.Unmarshal(f.payload, &p))
			require.Equal(t, publishEvent, p.Event)
			require.Len(t, p.Payload, size)
			got, err := publishSeq(p.Payload)
			require.NoError(t, err)
			require.Equal(t, seq, got)
		}
	}
	_, err := publishSeq([]byte(`{"s":"1"}`))
	require.Error(t, err)
}

func FuzzParseFrame(f *testing.F) {
	f.Add([]byte(`["1",null,"room:a","presence_diff",{"joins":{},"leaves":{}}]`))
	f.Add([]byte(`[null,"h","phoenix","phx_reply",{"status":"ok","response":{}}]`))
	f.Add([]byte(`["\\",null,"\"","",1]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := parseFrame(data)
		if err == nil {
			// Nothing is lost: what was cut apart can be put together.
			for _, part := range [][]byte{got.topic, got.event, got.payload} {
				require.True(t, bytes.Contains(data, part))
			}
			return
		}
		// What encoding/json would have written is taken.
		var parts []any
		if json.Unmarshal(data, &parts) != nil || len(parts) != 5 {
			return
		}
		for i, part := range parts[:4] {
			if _, ok := part.(string); !ok && (part != nil || i >= 2) {
				return
			}
		}
		canonical, err := json.Marshal(parts)
		require.NoError(t, err)
		_, err = parseFrame(canonical)
		require.NoError(t, err, string(canonical))
	})
}
