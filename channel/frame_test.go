package channel

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func whole(f *Frame) string {
	head, body, tail := f.Pieces()
	return string(head) + string(body) + string(tail)
}

func inPieces(f *Frame) bool {
	_, body, _ := f.Pieces()
	return body != nil
}

// A client cannot tell whether a frame was sent in pieces.
func TestAFrameInPiecesIsTheFrame(t *testing.T) {
	ref := rapid.Custom(func(t *rapid.T) Ref {
		if rapid.Bool().Draw(t, "null") {
			return Ref{}
		}
		return StringRef(rapid.String().Draw(t, "ref"))
	})
	rapid.Check(t, func(t *rapid.T) {
		payload, err := json.Marshal(rapid.MapOf(rapid.String(), rapid.String()).Draw(t, "payload"))
		require.NoError(t, err)
		m := Message{
			Kind:    rapid.SampledFrom([]Kind{KindPush, KindReply, KindBroadcast}).Draw(t, "kind"),
			JoinRef: ref.Draw(t, "join_ref"),
			Ref:     ref.Draw(t, "ref"),
			Topic:   rapid.String().Draw(t, "topic"),
			Event:   rapid.String().Draw(t, "event"),
			Status:  rapid.String().Draw(t, "status"),
			Payload: rawPayload(payload),
		}
		for _, s := range []Serializer{v1{}, v2{}} {
			want, err := s.Encode(m)
			require.NoError(t, err)
			got := s.(splicer).splice(m)
			require.Equal(t, string(want.Data), whole(got))
			require.Equal(t, len(want.Data), got.Len())
			require.Equal(t, want.Shared, got.Shared)
			_, body, _ := got.Pieces()
			require.Same(t, &payload[0], &body[0])
			require.Equal(t, string(want.Data), whole(want), "one piece")
			require.Equal(t, len(want.Data), want.Len())
		}
	})
}

// gatherLink takes frames in pieces.
type gatherLink struct{ testLink }

func (*gatherLink) Gathers() bool { return true }

// ungatherLink could, but does not.
type ungatherLink struct{ testLink }

func (*ungatherLink) Gathers() bool { return false }

func (l *testLink) recorded() *testLink { return l }

// stateOf is the presence_state that link was sent.
func stateOf(t *testing.T, link interface{ recorded() *testLink }) *Frame {
	t.Helper()
	synctest.Wait()
	l := link.recorded()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range l.frames {
		if bytes.Contains(f.Data, []byte(`presence_state`)) {
			return f
		}
	}
	t.Fatal("no presence_state")
	return nil
}

// biography is the size of the meta of each user of a crowd, in bytes.
const biography = 8000

// crowd makes users present in "t".
func crowd(t *testing.T, users int) (*Endpoint, *Handler) {
	t.Helper()
	e, h, session := startRoom(t)
	for i := range users {
		_, err := session.Track("t", fmt.Sprint("user", i), map[string]string{"about": strings.Repeat("x", biography)})
		require.NoError(t, err)
	}
	time.Sleep(time.Second)
	return e, h
}

func TestTheStateIsNotCopiedForALinkThatGathers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e, h := crowd(t, 2)
		a, b, plain, not := &gatherLink{}, &gatherLink{}, &testLink{}, &ungatherLink{}
		for _, link := range []Link{a, b, plain, not} {
			joinRoom(t, e, h, link)
			synctest.Wait()
		}
		for _, l := range []interface{ recorded() *testLink }{plain, not} {
			require.False(t, inPieces(stateOf(t, l)))
			require.Equal(t, string(stateOf(t, plain).Data), whole(stateOf(t, a)))
		}
		_, inA, _ := stateOf(t, a).Pieces()
		_, inB, _ := stateOf(t, b).Pieces()
		require.Greater(t, len(inA), 2*biography)
		require.Same(t, &inA[0], &inB[0])
	})
}

func TestASmallStateAndThatOfAnOwnSerializerAreWhole(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e, h, session := startRoom(t)
		_, err := session.Track("t", "user", map[string]string{})
		require.NoError(t, err)
		time.Sleep(time.Second)
		link := &gatherLink{}
		joinRoom(t, e, h, link)
		require.False(t, inPieces(stateOf(t, link)))

		e, h = crowd(t, 1)
		h.Serializers = []ServedVersion{{"~> 2.0", &shorthand{}}}
		own, err := NewHandler(*h)
		require.NoError(t, err)
		c := connect(t, e, own, "")
		link = &gatherLink{}
		c.conn.link = link
		require.Nil(t, c.conn.Receive(true, []byte(`{"j":"1","r":"1","t":"t","e":"phx_join","p":{}}`)))
		require.False(t, inPieces(stateOf(t, link)))
	})
}
