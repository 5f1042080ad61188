package websocket

import (
	"compress/flate"
	"encoding/binary"
	"sync"
	"unicode/utf8"

	gorilla "github.com/gorilla/websocket"

	"github.com/rollcall-go/rollcall/channel/wire"
)

// First bytes of the frames that are made here: whole and unmasked (RFC 6455, 5.2).
// gorilla needs 0.7 us for a frame that is there already, and 2.8 us and 5.9 KB to
// prepare one; framing is 10 lines.
const (
	opText   = 0x80 | gorilla.TextMessage
	opBinary = 0x80 | gorilla.BinaryMessage
	opClose  = 0x80 | gorilla.CloseMessage
	opPong   = 0x80 | gorilla.PongMessage

	compressed = 0x40 // added to one of the first two (RFC 7692, 6)
)

// maxHeader is the most bytes that appendHeader appends.
const maxHeader = 10

// appendHeader appends the header of a frame with n bytes of payload.
func appendHeader(b []byte, first byte, n int) []byte {
	switch {
	case n < 126:
		return append(b, first, byte(n))
	case n < 1<<16:
		return binary.BigEndian.AppendUint16(append(b, first, 126), uint16(n))
	default:
		return binary.BigEndian.AppendUint64(append(b, first, 127), uint64(n))
	}
}

func firstByte(f *wire.Frame) byte {
	if f.Binary {
		return opBinary
	}
	return opText
}

// appendClose appends a close frame.
func appendClose(b []byte, n *closeNotice) []byte {
	payload := gorilla.FormatCloseMessage(n.code, clipReason(n.reason))
	return append(appendHeader(b, opClose, len(payload)), payload...)
}

// maxReason is the most bytes that a close frame has for its reason.
const maxReason = 123

// clipReason shortens a reason to what fits, at a character's edge.
func clipReason(reason string) string {
	if len(reason) <= maxReason {
		return reason
	}
	end := maxReason
	for end > 0 && !utf8.RuneStart(reason[end]) {
		end--
	}
	return reason[:end]
}

// appendCompressed appends a frame whose payload is deflated, without context takeover.
func appendCompressed(b []byte, first byte, payload ...[]byte) []byte {
	start := len(b)
	var room [maxHeader]byte
	d := deflaters.Get().(*deflater)
	defer deflaters.Put(d)
	deflated := d.append(append(b, room[:]...), payload)
	content := deflated[start+maxHeader:]
	b = appendHeader(deflated[:start], first|compressed, len(content))
	return append(b, content...) // moves it, to where the header ends
}

// A deflater appends what it deflates to out. It takes some hundred KiB.
type deflater struct {
	w   *flate.Writer
	out []byte
}

var deflaters = sync.Pool{New: func() any {
	d := new(deflater)
	d.w, _ = flate.NewWriter(d, flate.BestSpeed)
	return d
}}

// Write implements io.Writer.
func (d *deflater) Write(p []byte) (int, error) {
	d.out = append(d.out, p...)
	return len(p), nil
}

// syncMarker ends what was flushed, and is not sent (RFC 7692, 7.2.1).
const syncMarker = "\x00\x00\xff\xff"

func (d *deflater) append(b []byte, payload [][]byte) []byte {
	d.out = b
	d.w.Reset(d)
	for _, p := range payload {
		d.w.Write(p)
	}
	d.w.Flush() // writing to memory does not fail
	b = d.out[:len(d.out)-len(syncMarker)]
	d.out = nil
	return b
}

// preparedFrame is a shared frame as it goes out, made once for all connections
// of all transports.
type preparedFrame struct {
	plain  []byte // header and payload
	header int    // bytes of it

	once     sync.Once
	deflated []byte // made when it first goes to a connection that compresses
}

// prepared is the form of a shared frame; nil if the frame is not shared, or another
// kind of transport has taken the form's place.
func prepared(f *wire.Frame) *preparedFrame {
	if !f.Shared {
		return nil
	}
	p, _ := f.Prepared(func() any {
		header := appendHeader(make([]byte, 0, maxHeader+len(f.Data)), firstByte(f), len(f.Data))
		return &preparedFrame{plain: append(header, f.Data...), header: len(header)}
	}).(*preparedFrame)
	return p
}

// bytes returns the frame as it goes out.
func (p *preparedFrame) bytes(compress bool) []byte {
	if !compress {
		return p.plain
	}
	p.once.Do(func() { p.deflated = appendCompressed(nil, p.plain[0], p.plain[p.header:]) })
	return p.deflated
}
