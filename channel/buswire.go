package channel

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/rollcall-go/rollcall/channel/wire"
)

// A broadcast between replicas:
//
//	byte  0       wireMagic
//	byte  1       wireVersion
//	byte  2       flags: bit 0 the payload is binary, bit 1 it has metadata; others
//	              must be 0
//	bytes 3-10    the sender's instance, so that it knows its own echo
//	uvarint, topic
//	uvarint, event
//	uvarint, metadata, with bit 1
//	              the payload is what remains
const (
	wireMagic   = 0xC4
	wireVersion = 1

	wireFlagBinary   = 1 << 0
	wireFlagMetadata = 1 << 1
)

// instance names one run of an endpoint.
type instance [8]byte

var errWire = errors.New("channel: malformed broadcast")

func encodeWire(from instance, b Broadcast) []byte {
	payload, metadata := b.Payload.Bytes(), b.Payload.Metadata()
	data := make([]byte, 0, 3+len(from)+3*binary.MaxVarintLen64+len(b.Topic)+len(b.Event)+len(metadata)+len(payload))
	var flags byte
	if b.Payload.IsBinary() {
		flags |= wireFlagBinary
	}
	if metadata != nil {
		flags |= wireFlagMetadata
	}
	data = append(data, wireMagic, wireVersion, flags)
	data = append(data, from[:]...)
	data = binary.AppendUvarint(data, uint64(len(b.Topic)))
	data = append(data, b.Topic...)
	data = binary.AppendUvarint(data, uint64(len(b.Event)))
	data = append(data, b.Event...)
	if metadata != nil {
		data = binary.AppendUvarint(data, uint64(len(metadata)))
		data = append(data, metadata...)
	}
	return append(data, payload...)
}

// decodeWire reads a broadcast; its payload is cut from data, which the caller
// gives away. It never panics, and allocates no more than data is long.
func decodeWire(data []byte) (from instance, b Broadcast, err error) {
	if len(data) < 3+len(from) || data[0] != wireMagic {
		return from, b, errWire
	}
	if data[1] != wireVersion {
		return from, b, fmt.Errorf("%w: version %d", errWire, data[1])
	}
	flags := data[2]
	if flags&^(wireFlagBinary|wireFlagMetadata) != 0 {
		return from, b, fmt.Errorf("%w: flags %#x", errWire, flags)
	}
	rest := data[3+copy(from[:], data[3:]):]
	if b.Topic, rest, err = cutString(rest); err != nil {
		return from, b, err
	}
	if b.Event, rest, err = cutString(rest); err != nil {
		return from, b, err
	}
	if err := wire.CheckTopic(b.Topic); err != nil {
		return from, b, fmt.Errorf("%w: %w", errWire, err)
	}
	var metadata []byte
	if flags&wireFlagMetadata != 0 {
		if metadata, rest, err = cut(rest); err != nil {
			return from, b, err
		}
	}
	switch {
	case rest == nil:
		return from, b, fmt.Errorf("%w: payload", errWire)
	case flags&wireFlagBinary != 0:
		b.Payload, _ = wire.NewPayload(wire.Binary(rest)) // never fails for bytes
	case len(rest) == 0 || rest[0] != '{' || !json.Valid(rest):
		return from, b, fmt.Errorf("%w: payload", errWire)
	default:
		b.Payload = wire.RawPayload(rest)
	}
	if metadata != nil {
		b.Payload = b.Payload.WithMetadata(metadata)
	}
	return from, b, nil
}

func cutString(data []byte) (s string, rest []byte, err error) {
	text, rest, err := cut(data)
	if err == nil && !utf8.Valid(text) {
		err = errWire
	}
	if err != nil {
		return "", nil, err
	}
	return string(text), rest, nil
}

// cut cuts a length and as many bytes from data.
func cut(data []byte) (text, rest []byte, err error) {
	n, size := binary.Uvarint(data)
	if size <= 0 || n > uint64(len(data)-size) {
		return nil, nil, errWire
	}
	end := size + int(n)
	return data[size:end:end], data[end:], nil
}
