package websocket

import (
	"bytes"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rollcall-go/rollcall/channel/wire"
)

// drain gathers and writes a batch, part of unsent at a time, and returns what each
// call of gather readied and all of the bytes.
func drain(t require.TestingT, b *batch, part func(most int) int) (readied [][]byte, all []byte) {
	for b.gather() {
		require.NotEmpty(t, b.unsent, "a socket that is asked to write nothing is waited for in vain")
		n := part(len(b.unsent))
		readied = append(readied, b.unsent)
		all = append(all, b.unsent[:n]...)
		b.wrote(n)
	}
	return readied, all
}

func whole(most int) int { return most }

// onTheWire is a frame as its client gets it.
func onTheWire(f *wire.Frame) []byte {
	head, body, tail := f.Pieces()
	return slices.Concat(appendHeader(nil, firstByte(f), f.Len()), head, body, tail)
}

// framesInPieces are frames that share their payload with others, of so many users of
// about 8 KB each.
func framesInPieces(t *testing.T, users ...int) (frames []*wire.Frame) {
	t.Helper()
	server := serveShown(t, plain, users...)
	c, err := server.endpoint.Connect(t.Context(), server.handler, wire.ConnectInfo{Params: url.Values{"vsn": {"2.0.0"}}})
	require.NoError(t, err)
	link := make(pieceLink, 10)
	c.Start(link)
	for _, n := range users {
		require.Nil(t, c.Receive(false, fmt.Appendf(nil, `["1","1","%d","phx_join",{}]`, n)))
		<-link // the reply
		f := <-link
		_, body, _ := f.Pieces()
		require.Greater(t, len(body), n*8000)
		frames = append(frames, f)
	}
	return frames
}

// Whatever is in a batch, and however little the socket takes at a time, what is
// readied for it is the frames, each once and in order, behind the pong.
func TestABatchIsGatheredWhole(t *testing.T) {
	inPieces := framesInPieces(t, 1, 3, 4, 5, 8, 9) // 8 to 72 KB, corkSize/2 is between two of them
	var sizes []int
	for _, edge := range []int{0, 126, 1 << 10, corkSize / 2, corkSize, 1 << 16, 2*corkSize + 1} {
		for around := -maxHeader - 1; around <= maxHeader; around += 3 {
			sizes = append(sizes, max(edge+around, 0))
		}
	}
	payload := bytes.Repeat([]byte("0123456789abcde"), 3*corkSize/15)
	rapid.Check(t, func(t *rapid.T) {
		b := newBatch(time.Time{})
		var want []byte
		if rapid.Bool().Draw(t, "pong") {
			b.pong, b.pongDue = []byte("pong"), true
			want = append([]byte{opPong, 4}, b.pong...)
		}
		large := 0
		for i := range rapid.IntRange(0, 6).Draw(t, "frames") {
			var f *wire.Frame
			if kind := rapid.IntRange(0, 3).Draw(t, "kind"); kind == 0 {
				f = rapid.SampledFrom(inPieces).Draw(t, "pieces")
			} else {
				size := rapid.SampledFrom(sizes).Draw(t, "size")
				f = &wire.Frame{Data: payload[i : i+size], Shared: kind == 1, Binary: i%2 == 0}
			}
			if f.Len()+maxHeader > corkSize/2 {
				large++
			}
			b.frames = append(b.frames, f)
			want = append(want, onTheWire(f)...)
		}
		most := rapid.SampledFrom([]int{1 << 30, corkSize, 1000}).Draw(t, "most")
		readied, got := drain(t, b, func(n int) int { return min(n, most) })
		require.True(t, bytes.Equal(want, got))
		if most == 1<<30 {
			require.LessOrEqual(t, len(readied), 2*large+len(want)/corkSize+1, "it takes few writes")
		}
		b.release()
	})
}

// A payload that is large is written from where it is, whatever it is in and whatever
// comes before and after it; small frames are gathered for one write.
func TestLargePayloadsAreNotCopied(t *testing.T) {
	large := strings.Repeat("x", corkSize)
	sharedFrame, wholeFrame := shared(large), text(large)
	frameInPieces := framesInPieces(t, 9)[0]
	_, body, _ := frameInPieces.Pieces()
	for _, c := range []struct {
		name    string
		frame   *wire.Frame
		payload []byte
	}{
		{"shared", sharedFrame, prepared(sharedFrame).plain},
		{"whole", wholeFrame, wholeFrame.Data},
		{"in pieces", frameInPieces, body},
	} {
		for _, small := range []int{0, 1, 5} {
			b := newBatch(time.Time{})
			for range small {
				b.frames = append(b.frames, text("before"))
			}
			b.frames = append(b.frames, c.frame)
			for range small {
				b.frames = append(b.frames, text("after"))
			}
			readied, _ := drain(t, b, whole)
			at := slices.IndexFunc(readied, func(p []byte) bool { return unsafe.SliceData(p) == unsafe.SliceData(c.payload) })
			require.GreaterOrEqual(t, at, 0, c.name)
			require.Len(t, readied[at], len(c.payload), c.name)
			require.LessOrEqual(t, len(readied), 3, c.name)
			b.release()
		}
	}
}

// The one frame of a batch is not copied if others share it, however small it is.
func TestABroadcastIsNotCopied(t *testing.T) {
	f := shared("x")
	b := newBatch(time.Time{})
	b.frames = append(b.frames, f)
	readied, _ := drain(t, b, whole)
	require.Len(t, readied, 1)
	require.Same(t, unsafe.SliceData(prepared(f).plain), unsafe.SliceData(readied[0]))
	require.Nil(t, b.cork)
	b.release()
}

// A batch that is released in the middle of being written leaves nothing to the next
// one that uses its memory.
func TestAReleasedBatchIsEmpty(t *testing.T) {
	b := &batch{since: time.Now(), pong: []byte("pong"), pongDue: true, normal: true, bytes: 1}
	b.frames = append(b.frames, framesInPieces(t, 9)[0], text("x"))
	require.True(t, b.gather())
	b.wrote(1)
	frames, pong := b.frames, b.pong
	b.release()
	require.Equal(t, []*wire.Frame{nil, nil}, frames, "they can be collected")
	require.Equal(t, batch{frames: frames[:0], pong: pong[:0]}, *b)
}
