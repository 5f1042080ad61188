package channel

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/channel/wire"
)

func whole(f *wire.Frame) string {
	head, body, tail := f.Pieces()
	return string(head) + string(body) + string(tail)
}

func inPieces(f *wire.Frame) bool {
	_, body, _ := f.Pieces()
	return body != nil
}

// gatherLink takes frames in pieces.
type gatherLink struct{ testLink }

func (*gatherLink) Gathers() bool { return true }

// ungatherLink could, but does not.
type ungatherLink struct{ testLink }

func (*ungatherLink) Gathers() bool { return false }

func (l *testLink) recorded() *testLink { return l }

// stateOf is the presence_state that link was sent.
func stateOf(t *testing.T, link interface{ recorded() *testLink }) *wire.Frame {
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
		for _, link := range []wire.Link{a, b, plain, not} {
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

func TestASmallStateAndThatOfAnOwnProtocolAreWhole(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e, h, session := startRoom(t)
		_, err := session.Track("t", "user", map[string]string{})
		require.NoError(t, err)
		time.Sleep(time.Second)
		link := &gatherLink{}
		joinRoom(t, e, h, link)
		require.False(t, inPieces(stateOf(t, link)))

		e, h = crowd(t, 1)
		h.Protocols = map[string]wire.Protocol{"2.0": &shorthand{}}
		own, err := NewHandler(*h)
		require.NoError(t, err)
		c := connect(t, e, own, "")
		link = &gatherLink{}
		c.conn.link = link
		require.Nil(t, c.conn.Receive(true, []byte(`{"j":"1","r":"1","t":"t","e":"phx_join","p":{}}`)))
		require.False(t, inPieces(stateOf(t, link)))
	})
}
