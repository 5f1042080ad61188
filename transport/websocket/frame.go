package websocket

import (
	"encoding/binary"
	"sync"

	gorilla "github.com/gorilla/websocket"

	"github.com/rollcall-go/rollcall/channel/wire"
)

// First bytes of the frames that are made here: whole, unmasked, not compressed
// (RFC 6455, 5.2). gorilla makes those of connections that compress, and the close
// frame that answers a violation. It needs 0.7 us for a frame that
// is there already, and 2.8 us and 5.9 KB to prepare one; framing is 10 lines.
const (
	opText   = 0x80 | gorilla.TextMessage
	opBinary = 0x80 | gorilla.BinaryMessage
	opClose  = 0x80 | gorilla.CloseMessage
	opPong   = 0x80 | gorilla.PongMessage
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

// preparedFrame is a shared frame as it goes out, made once for all connections
// of all transports.
type preparedFrame struct {
	plain []byte // header and payload

	once       sync.Once
	compressed *gorilla.PreparedMessage // compresses once, when first written
	err        error
}

// prepared is the form of a shared frame, nil if another kind of transport has
// taken its place.
func prepared(f *wire.Frame) *preparedFrame {
	p, _ := f.Prepared(func() any {
		plain := make([]byte, 0, maxHeader+len(f.Data))
		return &preparedFrame{plain: append(appendHeader(plain, firstByte(f), len(f.Data)), f.Data...)}
	}).(*preparedFrame)
	return p
}

// message is the form for connections that may compress.
func (p *preparedFrame) message(f *wire.Frame) (*gorilla.PreparedMessage, error) {
	p.once.Do(func() { p.compressed, p.err = gorilla.NewPreparedMessage(kindOf(f), f.Data) })
	return p.compressed, p.err
}

func kindOf(f *wire.Frame) int {
	if f.Binary {
		return gorilla.BinaryMessage
	}
	return gorilla.TextMessage
}
