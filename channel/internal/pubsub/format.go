package pubsub

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
//	byte  0       magic
//	byte  1       version
//	byte  2       flags: bit 0 the payload is binary, bit 1 it has metadata; others
//	              must be 0
//	bytes 3-10    the sender's instance, so that it knows its own echo
//	uvarint, topic
//	uvarint, event
//	uvarint, metadata, with bit 1
//	              the payload is what remains
const (
	magic   = 0xC4
	version = 1

	flagBinary   = 1 << 0
	flagMetadata = 1 << 1
)

// An instance names one run of a PubSub.
type instance [8]byte

var errFormat = errors.New("channel: malformed broadcast")

func encode(from instance, b wire.Broadcast) []byte {
	payload, metadata := b.Payload.Bytes(), b.Payload.Metadata()
	data := make([]byte, 0, 3+len(from)+3*binary.MaxVarintLen64+len(b.Topic)+len(b.Event)+len(metadata)+len(payload))
	var flags byte
	if b.Payload.IsBinary() {
		flags |= flagBinary
	}
	if metadata != nil {
		flags |= flagMetadata
	}
	data = append(data, magic, version, flags)
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

// decode reads a broadcast; its payload is cut from data, which the caller
// gives away. It never panics, and allocates no more than data is long.
func decode(data []byte) (from instance, b wire.Broadcast, err error) {
	if len(data) < 3+len(from) || data[0] != magic {
		return from, b, errFormat
	}
	if data[1] != version {
		return from, b, fmt.Errorf("%w: version %d", errFormat, data[1])
	}
	flags := data[2]
	if flags&^(flagBinary|flagMetadata) != 0 {
		return from, b, fmt.Errorf("%w: flags %#x", errFormat, flags)
	}
	rest := data[3+copy(from[:], data[3:]):]
	if b.Topic, rest, err = cutString(rest); err != nil {
		return from, b, err
	}
	if b.Event, rest, err = cutString(rest); err != nil {
		return from, b, err
	}
	if err := wire.CheckTopic(b.Topic); err != nil {
		return from, b, fmt.Errorf("%w: %w", errFormat, err)
	}
	var metadata []byte
	if flags&flagMetadata != 0 {
		if metadata, rest, err = cut(rest); err != nil {
			return from, b, err
		}
	}
	switch {
	case rest == nil:
		return from, b, fmt.Errorf("%w: payload", errFormat)
	case flags&flagBinary != 0:
		b.Payload, _ = wire.NewPayload(wire.Binary(rest)) // never fails for bytes
	case len(rest) == 0 || rest[0] != '{' || !json.Valid(rest):
		return from, b, fmt.Errorf("%w: payload", errFormat)
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
		err = errFormat
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
		return nil, nil, errFormat
	}
	end := size + int(n)
	return data[size:end:end], data[end:], nil
}
