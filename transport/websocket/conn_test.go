package websocket

import (
	"bytes"
	"compress/flate"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	gorilla "github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/channel/wire"
	"github.com/rollcall-go/rollcall/transport/internal/netpoll"
)

// echo sends back what it receives, as own and as shared frames in turn.
func echo() *fakeConn {
	s := newFake()
	var link wire.Link
	n := 0
	s.receive = func(binary bool, data []byte) *wire.Close {
		if link == nil {
			link = <-s.started
		}
		n++
		link.Send(&wire.Frame{Binary: binary, Data: bytes.Clone(data), Shared: n%2 == 0})
		return nil
	}
	return s
}

func TestMessagesOfEveryKindAndSizeComeBack(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		_, server := k.serve(t, Config{}, letIn(echo()))
		client, answer, err := dialerFor(server).Dial(wsURL(server), nil)
		require.NoError(t, err)
		defer client.Close()
		// B094: off unless configured.
		require.Equal(t, k.compress, strings.Contains(answer.Header.Get("Sec-WebSocket-Extensions"), "permessage-deflate"))
		for _, kind := range []int{gorilla.TextMessage, gorilla.BinaryMessage} {
			for _, size := range []int{0, 1, 125, 126, 511, 512, 513, 4096, 65535, 65536, 200_000, 1 << 20} {
				for range 2 {
					sent := bytes.Repeat([]byte("abcdefg\n"), size/8+1)[:size]
					require.NoError(t, client.WriteMessage(kind, sent))
					gotKind, got, err := client.ReadMessage()
					require.NoError(t, err)
					require.Equal(t, kind, gotKind)
					require.True(t, bytes.Equal(sent, got), "size %d", size)
				}
			}
		}
	})
}

// rawFrame is one masked frame of a client; the mask is zero.
func rawFrame(first byte, payload []byte) []byte {
	f := []byte{first}
	switch n := len(payload); {
	case n < 126:
		f = append(f, 0x80|byte(n))
	case n < 1<<16:
		f = binary.BigEndian.AppendUint16(append(f, 0x80|126), uint16(n))
	default:
		f = binary.BigEndian.AppendUint64(append(f, 0x80|127), uint64(n))
	}
	return append(append(f, 0, 0, 0, 0), payload...)
}

func join(frames ...[]byte) []byte { return bytes.Join(frames, nil) }

// deflated is a payload of permessage-deflate.
func deflated(n int) []byte {
	var b bytes.Buffer
	w, _ := flate.NewWriter(&b, flate.BestCompression)
	io.CopyN(w, zeros{}, int64(n))
	w.Flush()
	return bytes.TrimSuffix(b.Bytes(), []byte{0, 0, 0xff, 0xff})
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = '0'
	}
	return len(p), nil
}

// B092: what the server makes of what a client may send.
func TestWhatClientsSendDecidesTheCloseCode(t *testing.T) {
	const (
		final, more                              = 0x80, 0x00
		continued, textOp, binaryOp, close, ping = 0x0, 0x1, 0x2, 0x8, 0x9
	)
	good := rawFrame(final|textOp, []byte("good"))
	bye := rawFrame(final|close, []byte{0x03, 0xe8}) // 1000
	tests := []struct {
		name     string
		send     []byte
		compress bool
		received []string
		code     int
		reason   string
	}{
		{name: "a close", send: join(good, bye), received: []string{"good"}, code: 1000},
		{name: "a close without code", send: rawFrame(final|close, nil), code: 1005},
		{name: "an application's close", send: rawFrame(final|close, []byte{0x0f, 0xa0, 'x'}), code: 4000},
		{name: "fragments", send: join(rawFrame(more|textOp, []byte("a")), rawFrame(more|continued, []byte("b")), rawFrame(final|continued, []byte("c")), bye), received: []string{"abc"}, code: 1000},
		{name: "a character split by fragments", send: join(rawFrame(more|textOp, []byte("\xe2\x82")), rawFrame(final|continued, []byte("\xac")), bye), received: []string{"€"}, code: 1000},
		{name: "a ping between fragments", send: join(rawFrame(more|textOp, []byte("a")), rawFrame(final|ping, nil), rawFrame(final|continued, []byte("c")), bye), received: []string{"ac"}, code: 1000},
		{name: "binary need not be UTF-8", send: join(rawFrame(final|binaryOp, []byte("\xff")), bye), received: []string{"\xff"}, code: 1000},
		{name: "text that is not UTF-8", send: join(good, rawFrame(final|textOp, []byte("\xff")), good), received: []string{"good"}, code: wire.CloseInvalidText, reason: "text is not UTF-8"},
		{name: "half a surrogate pair", send: rawFrame(final|textOp, []byte("\xed\xa0\x80")), code: wire.CloseInvalidText, reason: "text is not UTF-8"},
		{name: "the largest message", send: join(rawFrame(final|textOp, bytes.Repeat([]byte("m"), 1000)), bye), received: []string{strings.Repeat("m", 1000)}, code: 1000},
		{name: "a message too big", send: join(rawFrame(final|textOp, bytes.Repeat([]byte("m"), 1001)), good), code: wire.CloseTooBig, reason: "message too big"},
		{name: "fragments too big together", send: join(rawFrame(more|textOp, bytes.Repeat([]byte("m"), 600)), rawFrame(final|continued, bytes.Repeat([]byte("m"), 600)), good), code: wire.CloseTooBig, reason: "message too big"},
		{name: "a header that promises 8 EiB", send: append([]byte{final | binaryOp, 0x80 | 127, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0}, make([]byte, 2000)...), code: wire.CloseTooBig, reason: "message too big"},
		{name: "a length that is negative", send: []byte{final | binaryOp, 0x80 | 127, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0}, code: wire.CloseProtocol},
		{name: "small on the wire, too big inflated", compress: true, send: rawFrame(final|0x40|textOp, deflated(8<<20)), code: wire.CloseTooBig, reason: "message too big"},
		{name: "inflated to the limit", compress: true, send: join(rawFrame(final|0x40|textOp, deflated(1000)), bye), received: []string{strings.Repeat("0", 1000)}, code: 1000},
		{name: "what the channelConn refuses", send: join(good, rawFrame(final|textOp, []byte("refuse")), good), received: []string{"good"}, code: wire.CloseInternal, reason: "malformed"},
		{name: "what the channelConn panics at", send: join(good, rawFrame(final|textOp, []byte("panic")), good), received: []string{"good"}, code: wire.CloseInternal, reason: "internal error"},
		{name: "an unmasked frame", send: []byte{final | textOp, 1, 'x'}, code: wire.CloseProtocol, reason: "bad MASK"},
		{name: "an unknown opcode", send: rawFrame(final|0x3, nil), code: wire.CloseProtocol, reason: "bad opcode 3"},
		{name: "a reserved bit", send: rawFrame(final|0x40|textOp, nil), code: wire.CloseProtocol, reason: "RSV1 set"},
		{name: "a bad close code", send: rawFrame(final|close, []byte{0x03, 0xee}), code: wire.CloseProtocol, reason: "bad close code 1006"},
		{name: "a continuation of nothing", send: rawFrame(final|continued, nil), code: wire.CloseProtocol, reason: "continuation after FIN"},
	}
	eachKind(t, func(t *testing.T, k kind) {
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				k.compress = test.compress
				var received []string
				s := newFake()
				s.receive = func(_ bool, data []byte) *wire.Close {
					switch string(data) {
					case "refuse":
						return &wire.Close{Code: wire.CloseInternal, Reason: "malformed"}
					case "panic":
						panic("boom")
					}
					received = append(received, string(data))
					return nil
				}
				transport, server := k.serve(t, Config{MaxFrame: 1000}, letIn(s))
				client := dial(t, server, nil)
				_, err := client.NetConn().Write(test.send)
				require.NoError(t, err)
				requireClosed(t, client, test.code, test.reason)
				client.Close()
				await(t, s.closed, "the end")
				require.Eventually(t, func() bool { return transport.Stats().Connections == 0 }, 10*time.Second, time.Millisecond)
				require.Equal(t, test.received, received)
				require.Equal(t, 1, s.timesClosed())
			})
		}
	})
}

// What is deflated may end before its message (RFC 7692, 7.2.3.4). The rest, which comes
// later, is neither part of the next message nor of one of another client.
func TestRestOfADeflatedMessageIsSkipped(t *testing.T) {
	_, server := kind{compress: true}.serve(t, Config{}, func(context.Context, wire.ConnectInfo) (channelConn, error) { return echo(), nil })
	hello := rawFrame(0xc1, []byte("\xf3\x48\xcd\xc9\xc9\x07\x00"+strings.Repeat("\x00", 200)))
	for range 10 {
		client, other := dial(t, server, nil), dial(t, server, nil)
		_, err := client.NetConn().Write(hello[:len(hello)-200])
		require.NoError(t, err)
		requireText(t, client, "Hello")
		require.NoError(t, other.WriteMessage(gorilla.TextMessage, []byte("other")))
		requireText(t, other, "other")
		_, err = client.NetConn().Write(hello[len(hello)-200:])
		require.NoError(t, err)
		require.NoError(t, client.WriteMessage(gorilla.TextMessage, []byte("next")))
		requireText(t, client, "next")
	}
}

func TestPanicOfOneConnectionDisturbsNoOther(t *testing.T) {
	var logged bytes.Buffer
	bad, good := newFake(), echo()
	bad.receive = func(bool, []byte) *wire.Close { panic("boom") }
	_, server := serveLoopback(t, Config{Logger: slog.New(slog.NewTextHandler(&logged, nil))},
		func(_ context.Context, info wire.ConnectInfo) (channelConn, error) {
			if info.XHeaders["x-who"][0] == "bad" {
				return bad, nil
			}
			return good, nil
		})
	theirs := dial(t, server, http.Header{"X-Who": {"good"}})
	ours := dial(t, server, http.Header{"X-Who": {"bad"}})
	require.NoError(t, ours.WriteMessage(gorilla.TextMessage, []byte("x")))
	requireClosed(t, ours, wire.CloseInternal, "internal error")
	await(t, bad.closed, "the end of the connection that panicked")
	require.Contains(t, logged.String(), "boom")
	require.NoError(t, theirs.WriteMessage(gorilla.TextMessage, []byte("still here")))
	requireText(t, theirs, "still here")
	require.Zero(t, good.timesClosed())
}

func TestPanicWhileWritingEndsThatConnection(t *testing.T) {
	var logged bytes.Buffer
	s := newFake()
	transport := transportFor(t, Config{Logger: slog.New(slog.NewTextHandler(&logged, nil))}, letIn(s))
	c := &conn{t: transport}
	near, far := net.Pipe()
	defer far.Close()
	c.open(near)
	_, err := c.tryWrite(&batch{frames: []*wire.Frame{nil}})
	require.Equal(t, errPanic, err)
	_, err = c.waitWrite(nil)
	require.Equal(t, errPanic, err)
	require.Contains(t, logged.String(), "doing=writing")
	c.out.taken = true
	c.out.writing.Add(1)
	c.out.fail(errPanic)
	_, err = far.Read(make([]byte, 1))
	require.Equal(t, io.EOF, err, "the connection is cut")
}

// A frame whose cached form is another transport's, or nothing, is written
// without it.
func TestSharedFrameWithoutAPreparedFormOfOurs(t *testing.T) {
	s := newFake()
	_, server := serveLoopback(t, Config{}, letIn(s))
	client := dial(t, server, nil)
	link := awaitLink(t, s)
	f := shared("x")
	f.Prepared(func() any { return "another transport's" })
	link.Send(f)
	requireText(t, client, "x")
	require.Panics(t, func() { link.Send(nil) })
	link.Send(text("after"))
	requireText(t, client, "after")
}

func TestClientThatVanishesEndsTheChannels(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		s := newFake()
		transport, server := k.serve(t, Config{}, letIn(s))
		client := dial(t, server, nil)
		link := awaitLink(t, s)
		require.NoError(t, client.Close()) // no close frame
		await(t, s.closed, "the end")
		link.Send(text("to nobody"))
		link.Close(1012, "")
		require.Eventually(t, func() bool { return transport.Stats().Connections == 0 }, 10*time.Second, time.Millisecond)
		require.Equal(t, 1, s.timesClosed())
	})
}

func TestCloseOfTheLinkSendsWhatWaitsAndTheReason(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		s := newFake()
		_, server := k.serve(t, Config{}, letIn(s))
		client := dial(t, server, nil)
		link := awaitLink(t, s)
		for i := range 100 {
			link.Send(text(fmt.Sprint(i)))
		}
		link.Close(wire.CloseGoingAway, strings.Repeat("x", 121)+"€uro")
		link.Close(wire.CloseRestart, "second")
		link.Send(text("late"))
		for i := range 100 {
			requireText(t, client, fmt.Sprint(i))
		}
		requireClosed(t, client, wire.CloseGoingAway, strings.Repeat("x", 121))
		await(t, s.closed, "the end")
	})
}

// Writers, pongs and the client's own messages all at once: nothing is torn,
// lost or out of order.
func TestConcurrentTrafficIsIntact(t *testing.T) {
	eachKindRaced(t, func(t *testing.T, k kind) {
		s := newFake()
		_, server := k.serve(t, Config{OutboxBytes: 64 << 20, OutboxAge: time.Minute}, letIn(s))
		client := dial(t, server, nil)
		client.SetReadDeadline(time.Now().Add(60 * time.Second))
		link := awaitLink(t, s)
		const senders, each, pings = 4, 500, 300
		pongs := 0
		client.SetPongHandler(func(string) error { pongs++; return nil })
		var group sync.WaitGroup
		for sender := range senders {
			group.Go(func() {
				for i := range each {
					f := text(fmt.Sprintf("%d:%d:%s", sender, i, strings.Repeat("x", i*7%3000)))
					f.Shared = i%2 == 0
					link.Send(f)
				}
			})
		}
		group.Go(func() {
			for range pings {
				client.WriteControl(gorilla.PingMessage, []byte("p"), time.Now().Add(10*time.Second))
			}
		})
		next := make([]int, senders)
		for range senders * each {
			_, data, err := client.ReadMessage()
			require.NoError(t, err)
			fields := strings.SplitN(string(data), ":", 3)
			require.Len(t, fields, 3)
			sender, err := strconv.Atoi(fields[0])
			require.NoError(t, err)
			i := next[sender]
			require.Equal(t, strconv.Itoa(i), fields[1])
			require.Len(t, fields[2], i*7%3000)
			next[sender]++
		}
		group.Wait()
		link.Close(1012, "")
		requireClosed(t, client, 1012, "")
		require.Positive(t, pongs)
	})
}

func TestReadMessage(t *testing.T) {
	buf := []byte("what was read before")
	require.NoError(t, readMessage(strings.NewReader("hello"), 5, &buf))
	require.Equal(t, "hello", string(buf))
	require.NoError(t, readMessage(strings.NewReader(""), 5, &buf))
	require.Empty(t, buf)
	require.Equal(t, errMessageTooBig, readMessage(strings.NewReader("hello!"), 5, &buf))
	require.Equal(t, errBroken, readMessage(io.MultiReader(strings.NewReader("he"), brokenReader{}), 5, &buf))
	long := strings.Repeat("x", 100_000)
	buf = nil
	require.NoError(t, readMessage(strings.NewReader(long), len(long), &buf))
	require.Equal(t, long, string(buf))
	require.LessOrEqual(t, cap(buf), 2*len(long))
}

var errBroken = errors.New("broken")

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errBroken }

func TestClipReasonCutsAtACharacter(t *testing.T) {
	require.Equal(t, "short", clipReason("short"))
	exact := strings.Repeat("x", maxReason)
	require.Equal(t, exact, clipReason(exact))
	require.Equal(t, exact, clipReason(exact+"y"))
	require.Equal(t, exact[:121], clipReason(exact[:121]+"€"))
	require.Equal(t, exact[:120]+"€", clipReason(exact[:120]+"€€"))
	require.Equal(t, "", clipReason(strings.Repeat("\x80", 200)))
}

func TestIdleUntil(t *testing.T) {
	begin := time.Unix(1000, 0)
	const timeout = time.Minute
	tests := []struct {
		name         string
		now          time.Duration // since begin
		since, until time.Duration
		idle         bool
	}{
		{"woken early", time.Second, 0, timeout, false},
		{"a moment before", timeout - 1, 0, timeout, false},
		{"in time", timeout, 0, timeout, true},
		{"a little late", timeout + netpoll.StallTolerance, 0, timeout, true},
		{"we stalled: the client gets a little time", time.Hour, time.Hour + netpoll.StallGrace - timeout, time.Hour + netpoll.StallGrace, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			since, until, idle := idleUntil(begin, begin.Add(test.now), timeout)
			require.Equal(t, test.since, since.Sub(begin))
			require.Equal(t, test.until, until.Sub(begin))
			require.Equal(t, test.idle, idle)
			if !idle {
				_, _, idle = idleUntil(since, until, timeout)
				require.True(t, idle, "the next timeout counts")
			}
		})
	}
}
