package pubsub

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/rollcall-go/rollcall/channel/wire"
	"github.com/rollcall-go/rollcall/channel/wire/phoenix2"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bytesPayload is the payload of bytes.
func bytesPayload(text string) wire.Payload {
	p, err := wire.NewPayload(wire.Binary(text))
	if err != nil {
		panic(err)
	}
	return p
}

func TestFormatRoundTrip(t *testing.T) {
	self := instance{1, 2, 3, 4, 5, 6, 7, 8}
	for _, b := range []wire.Broadcast{
		{Topic: "room:a", Event: "msg", Payload: wire.RawPayload([]byte(`{"a":1}`))},
		{Topic: "é", Event: "", Payload: wire.Payload{}},
		{Topic: "t", Event: "e", Payload: bytesPayload("\x00\xff")},
		{Topic: "t", Event: "e", Payload: wire.RawPayload([]byte(`{}`)).WithMetadata([]byte{1, 2})},
		{Topic: "t", Event: "e", Payload: bytesPayload("").WithMetadata([]byte{})},
	} {
		from, got, err := decode(encode(self, b))
		require.NoError(t, err)
		require.Equal(t, self, from)
		require.Equal(t, b.Topic, got.Topic)
		require.Equal(t, b.Event, got.Event)
		require.Equal(t, b.Payload.Bytes(), got.Payload.Bytes())
		require.Equal(t, b.Payload.IsBinary(), got.Payload.IsBinary())
		require.Equal(t, b.Payload.Metadata(), got.Payload.Metadata())
	}
}

func FuzzDecode(f *testing.F) {
	self := instance{1}
	f.Add(encode(self, wire.Broadcast{Topic: "room:a", Event: "msg", Payload: wire.RawPayload([]byte(`{"a":1}`))}))
	f.Add(encode(self, wire.Broadcast{Topic: "room:a", Event: "msg", Payload: bytesPayload("\x01")}))
	f.Add(encode(self, wire.Broadcast{Topic: "t", Event: "e", Payload: bytesPayload("x").WithMetadata([]byte("meta"))}))
	f.Add([]byte{magic, version + 1, 0})
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		from, b, err := decode(bytes.Clone(data))
		if err != nil {
			require.ErrorIs(t, err, errFormat)
			return
		}
		require.NoError(t, wire.CheckTopic(b.Topic))
		from2, b2, err := decode(encode(from, b))
		require.NoError(t, err)
		require.Equal(t, from, from2)
		require.Equal(t, b, b2)
		_, err = phoenix2.Protocol{}.Encode(nil, wire.Message{Kind: wire.KindBroadcast, Topic: b.Topic, Event: "e", Payload: b.Payload})
		require.NoError(t, err)
	})
}
