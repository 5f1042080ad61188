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

	"github.com/rollcall-go/rollcall/presence"
)

func whole(f *Frame) string {
	head, body, tail := f.Pieces()
	return string(head) + string(body) + string(tail)
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

// biography is what each of a crowd says of itself, in bytes; heavyCrowd is how many
// of them make a heavy state.
const (
	biography  = 8000
	heavyCrowd = heavyState/biography + 1
)

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
			require.False(t, stateOf(t, l).inPieces())
			require.Equal(t, string(stateOf(t, plain).Data), whole(stateOf(t, a)))
		}
		_, inA, _ := stateOf(t, a).Pieces()
		_, inB, _ := stateOf(t, b).Pieces()
		require.Greater(t, len(inA), 2*biography)
		require.Same(t, &inA[0], &inB[0])
		require.Nil(t, stateOf(t, b).Sent, "it is soon written")
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
		require.False(t, stateOf(t, link).inPieces())

		e, h = crowd(t, 1)
		h.Serializers = []ServedVersion{{"~> 2.0", &shorthand{}}}
		own, err := NewHandler(*h)
		require.NoError(t, err)
		c := connect(t, e, own, "")
		link = &gatherLink{}
		c.conn.link = link
		require.Nil(t, c.conn.Receive(true, []byte(`{"j":"1","r":"1","t":"t","e":"phx_join","p":{}}`)))
		require.False(t, stateOf(t, link).inPieces())
	})
}

// busyCrowd is a crowd that some look at, who were sent a heavy state.
func busyCrowd(t *testing.T, h *Handler, users int) (*Endpoint, *Handler) {
	t.Helper()
	e, pushed := crowd(t, users)
	if h == nil {
		h = pushed
	}
	for range 2 {
		joinRoom(t, e, h, &quickLink{})
		time.Sleep(time.Second)
	}
	idleAdmission(t, e)
	return e, h
}

// quickLink has written what it is sent before the channel goes on.
type quickLink struct{ testLink }

func (*quickLink) Gathers() bool { return true }

func (*quickLink) Send(f *Frame) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		if f.Sent != nil {
			f.Sent()
		}
	}()
	<-done
}

// A heavy state is part of its join, until it is written, or its client was given
// time enough to read; whether the room knows it already, or has to ask for it
// because the channel has tracked something.
func TestAHeavyStateIsWrittenBeforeTheNextJoin(t *testing.T) {
	tracksFirst := handlerOf(script{
		join: func(s *Socket, _ Payload) (any, error) { s.Send(0); return nil, nil },
		info: func(s *Socket, _ any) Result {
			_, err := s.Track("somebody", map[string]int{})
			must(err)
			must(s.PushPresenceState())
			return NoReply()
		},
	})
	for name, h := range map[string]*Handler{"known": nil, "asked for": tracksFirst} {
		for how, sent := range map[string]bool{"written": true, "read slowly": false} {
			t.Run(name+", "+how, func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					e, h := busyCrowd(t, h, heavyCrowd)
					e.admission.few = 1
					first, second := &gatherLink{}, &gatherLink{}
					joinRoom(t, e, h, first)
					joinRoom(t, e, h, second)
					state := stateOf(t, first)
					require.NotNil(t, state.Sent)
					require.Empty(t, second.frames)
					require.Equal(t, Stats{Channels: 3, JoinsRunning: 1, JoinsWaiting: 1, JoinsWaited: 1}, joinStats(e))
					if sent {
						state.Sent()
					} else {
						time.Sleep(patienceWrite + patienceUsual)
					}
					next := stateOf(t, second)
					next.Sent()
					idleAdmission(t, e)
					state.Sent() // late, or again: nobody waits for it
					next.Sent()
					idleAdmission(t, e)
					require.Equal(t, Stats{Channels: 4, JoinsWaited: 1}, joinStats(e))
				})
			})
		}
	}
}

// Nobody waits for a client that never reads.
func TestAHeavyStateThatIsNeverWrittenIsForgotten(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e, h := busyCrowd(t, nil, heavyCrowd)
		link := &gatherLink{}
		joinRoom(t, e, h, link)
		require.NotNil(t, stateOf(t, link).Sent)
		require.Equal(t, int64(1), e.Stats().JoinsRunning)
		time.Sleep(patienceWrite + patienceUsual)
		idleAdmission(t, e)
	})
}

// A link that cannot tell when a heavy state is written, and a state that is not
// heavy any more, hold up no join.
func TestAJoinDoesNotWaitForWhatNobodyTells(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e, h := busyCrowd(t, nil, heavyCrowd)
		joinRoom(t, e, h, &testLink{})
		idleAdmission(t, e)
	})
	bubble(t, func(t *testing.T) {
		e, h := busyCrowd(t, nil, heavyCrowd)
		for _, r := range e.rooms.all {
			r.published = published{list: &presence.List{}}
		}
		link := &gatherLink{}
		joinRoom(t, e, h, link)
		require.False(t, stateOf(t, link).inPieces())
		idleAdmission(t, e)
	})
}
