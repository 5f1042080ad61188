package channel

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
)

// A broadcast between replicas:
//
//	byte  0       wireMagic
//	byte  1       wireVersion
//	byte  2       flags: bit 0 the payload is binary; others must be 0
//	bytes 3-10    the sender's instance, so that it knows its own echo
//	uvarint, topic
//	uvarint, event
//	              the payload is what remains
const (
	wireMagic   = 0xC4
	wireVersion = 1

	wireFlagBinary = 1 << 0
)

// instance names one run of an endpoint.
type instance [8]byte

var errWire = errors.New("channel: malformed broadcast")

func encodeWire(from instance, b Broadcast) []byte {
	payload := b.Payload.Bytes()
	data := make([]byte, 0, 3+len(from)+2*binary.MaxVarintLen64+len(b.Topic)+len(b.Event)+len(payload))
	var flags byte
	if b.Payload.binary {
		flags |= wireFlagBinary
	}
	data = append(data, wireMagic, wireVersion, flags)
	data = append(data, from[:]...)
	data = binary.AppendUvarint(data, uint64(len(b.Topic)))
	data = append(data, b.Topic...)
	data = binary.AppendUvarint(data, uint64(len(b.Event)))
	data = append(data, b.Event...)
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
	if flags&^wireFlagBinary != 0 {
		return from, b, fmt.Errorf("%w: flags %#x", errWire, flags)
	}
	rest := data[3+copy(from[:], data[3:]):]
	if b.Topic, rest, err = cutString(rest); err != nil {
		return from, b, err
	}
	if b.Event, rest, err = cutString(rest); err != nil {
		return from, b, err
	}
	if err := checkTopic(b.Topic); err != nil {
		return from, b, fmt.Errorf("%w: %w", errWire, err)
	}
	b.Payload = Payload{data: rest, binary: flags&wireFlagBinary != 0}
	if rest == nil || !b.Payload.binary && (len(rest) == 0 || rest[0] != '{' || !json.Valid(rest)) {
		return from, b, fmt.Errorf("%w: payload", errWire)
	}
	return from, b, nil
}

func cutString(data []byte) (s string, rest []byte, err error) {
	n, size := binary.Uvarint(data)
	if size <= 0 || n > uint64(len(data)-size) {
		return "", nil, errWire
	}
	text := data[size : size+int(n)]
	if !utf8.Valid(text) {
		return "", nil, errWire
	}
	return string(text), data[size+int(n):], nil
}
