package wire_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rollcall-go/rollcall/channel/wire"
	"github.com/rollcall-go/rollcall/channel/wire/phoenix1"
	"github.com/rollcall-go/rollcall/channel/wire/phoenix2"
)

func whole(f *wire.Frame) string {
	head, body, tail := f.Pieces()
	return string(head) + string(body) + string(tail)
}

// A client cannot tell whether a frame was sent in pieces.
func TestAFrameInPiecesIsTheFrame(t *testing.T) {
	ref := rapid.Custom(func(t *rapid.T) wire.Ref {
		if rapid.Bool().Draw(t, "null") {
			return wire.Ref{}
		}
		return wire.StringRef(rapid.String().Draw(t, "ref"))
	})
	rapid.Check(t, func(t *rapid.T) {
		payload, err := json.Marshal(rapid.MapOf(rapid.String(), rapid.String()).Draw(t, "payload"))
		require.NoError(t, err)
		m := wire.Message{
			Kind:    rapid.SampledFrom([]wire.Kind{wire.KindPush, wire.KindReply, wire.KindBroadcast}).Draw(t, "kind"),
			JoinRef: ref.Draw(t, "join_ref"),
			Ref:     ref.Draw(t, "ref"),
			Topic:   rapid.String().Draw(t, "topic"),
			Event:   rapid.String().Draw(t, "event"),
			Status:  rapid.String().Draw(t, "status"),
			Payload: wire.RawPayload(payload),
		}
		for _, s := range []wire.Codec{phoenix1.Protocol{}, phoenix2.Protocol{}} {
			frames, err := s.Encode(nil, m)
			require.NoError(t, err)
			want, got := frames[0], s.(wire.Splicer).Splice(m)
			require.Equal(t, string(want.Data), whole(got))
			require.Equal(t, len(want.Data), got.Len())
			_, body, _ := got.Pieces()
			require.Same(t, &payload[0], &body[0])
			require.Equal(t, string(want.Data), whole(want), "one piece")
			require.Equal(t, len(want.Data), want.Len())
		}
	})
}
