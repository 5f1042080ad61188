package channel

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWireRoundTrip(t *testing.T) {
	self := instance{1, 2, 3, 4, 5, 6, 7, 8}
	for _, b := range []Broadcast{
		{Topic: "room:a", Event: "msg", Payload: rawPayload([]byte(`{"a":1}`))},
		{Topic: "é", Event: "", Payload: Payload{}},
		{Topic: "t", Event: "e", Payload: Payload{data: []byte{0, 255}, binary: true}},
	} {
		from, got, err := decodeWire(encodeWire(self, b))
		require.NoError(t, err)
		require.Equal(t, self, from)
		require.Equal(t, b.Topic, got.Topic)
		require.Equal(t, b.Event, got.Event)
		require.Equal(t, b.Payload.Bytes(), got.Payload.Bytes())
		require.Equal(t, b.Payload.IsBinary(), got.Payload.IsBinary())
	}
}

func FuzzDecodeWire(f *testing.F) {
	self := instance{1}
	f.Add(encodeWire(self, Broadcast{Topic: "room:a", Event: "msg", Payload: rawPayload([]byte(`{"a":1}`))}))
	f.Add(encodeWire(self, Broadcast{Topic: "room:a", Event: "msg", Payload: Payload{data: []byte{1}, binary: true}}))
	f.Add([]byte{wireMagic, wireVersion + 1, 0})
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		from, b, err := decodeWire(bytes.Clone(data))
		if err != nil {
			require.ErrorIs(t, err, errWire)
			return
		}
		require.NoError(t, checkTopic(b.Topic))
		from2, b2, err := decodeWire(encodeWire(from, b))
		require.NoError(t, err)
		require.Equal(t, from, from2)
		require.Equal(t, b, b2)
		_, err = v2{}.Encode(Message{Kind: KindBroadcast, Topic: b.Topic, Event: "e", Payload: b.Payload})
		require.NoError(t, err)
	})
}
