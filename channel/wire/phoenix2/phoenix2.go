// Package phoenix2 is version 2 of Phoenix's protocol (vsn "2.0.x").
package phoenix2

import (
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/rollcall-go/rollcall/channel/internal/jsontext"
	"github.com/rollcall-go/rollcall/channel/wire"
)

// Protocol is version 2.
//
// A text frame is [join_ref, ref, topic, event, payload], both ways; a reply
// has the event phx_reply and the payload {"status": s, "response": r}.
// Messages with a binary payload go in binary frames:
//
//	byte 0            then one byte each           then
//	0 push, client    join_ref ref topic event     those strings, data
//	0 push, server    join_ref topic event         those strings, data
//	1 reply           join_ref ref topic status    those strings, data
//	2 broadcast       topic event                  those strings, data
//
// where the bytes are the lengths of the strings that follow, and data is what
// remains.
type Protocol struct{}

const (
	binaryPush      = 0
	binaryReply     = 1
	binaryBroadcast = 2
)

// Open implements [wire.Protocol].
func (p Protocol) Open(wire.Peer) wire.Codec { return p }

// Broadcast implements [wire.Protocol].
func (p Protocol) Broadcast(frames []*wire.Frame, m wire.Message) ([]*wire.Frame, error) {
	frames, err := p.Encode(frames, m)
	if err == nil {
		frames[len(frames)-1].Shared = true
	}
	return frames, err
}

// Decode implements [wire.Codec].
func (Protocol) Decode(messages []wire.Message, binary bool, data []byte) ([]wire.Message, error) {
	decode := decodeText
	if binary {
		decode = decodeBinary
	}
	m, err := decode(data)
	if err != nil {
		return nil, err
	}
	return append(messages, m), nil
}

func decodeText(data []byte) (m wire.Message, err error) {
	var parts [5]json.RawMessage
	n, err := jsontext.Elements(data, parts[:])
	if err != nil {
		return m, fmt.Errorf("v2 text frame: %w", err)
	}
	if n < len(parts) {
		return m, fmt.Errorf("v2 text frame: %d elements, need %d", n, len(parts))
	}
	if m.JoinRef, err = wire.ParseRef(parts[0]); err != nil {
		return m, fmt.Errorf("v2 text frame: join_%w", err)
	}
	if m.Ref, err = wire.ParseRef(parts[1]); err != nil {
		return m, fmt.Errorf("v2 text frame: %w", err)
	}
	if m.Topic, err = jsontext.String(parts[2]); err != nil {
		return m, fmt.Errorf("v2 text frame: topic: %w", err)
	}
	if m.Event, err = jsontext.String(parts[3]); err != nil {
		return m, fmt.Errorf("v2 text frame: event: %w", err)
	}
	return m, m.Payload.UnmarshalJSON(parts[4])
}

func decodeBinary(data []byte) (m wire.Message, err error) {
	if len(data) < 5 {
		return m, errors.New("v2 binary frame: cut short")
	}
	if data[0] != binaryPush {
		return m, fmt.Errorf("v2 binary frame: kind %d is not for clients to send", data[0])
	}
	sizes, rest := data[1:5], data[5:]
	var names [4]string
	for i, size := range sizes {
		if int(size) > len(rest) {
			return m, errors.New("v2 binary frame: cut short")
		}
		names[i], rest = string(rest[:size]), rest[size:]
		if !utf8.ValidString(names[i]) {
			return m, errors.New("v2 binary frame: a name is not UTF-8")
		}
	}
	payload, _ := wire.NewPayload(wire.Binary(append([]byte{}, rest...))) // never fails for bytes
	return wire.Message{
		Kind:    wire.KindPush,
		JoinRef: wire.StringRef(names[0]),
		Ref:     wire.StringRef(names[1]),
		Topic:   names[2],
		Event:   names[3],
		Payload: payload,
	}, nil
}

// Encode implements [wire.Codec].
func (Protocol) Encode(frames []*wire.Frame, m wire.Message) ([]*wire.Frame, error) {
	if m.Payload.IsBinary() {
		f, err := encodeBinary(m)
		if err != nil {
			return nil, err
		}
		return append(frames, f), nil
	}
	payload := m.Payload.JSON()
	b, _ := appendText(make([]byte, 0, around(m)+len(payload)), m, payload)
	return append(frames, &wire.Frame{Data: b}), nil
}

// Splice implements [wire.Splicer].
func (Protocol) Splice(m wire.Message) *wire.Frame {
	b, at := appendText(make([]byte, 0, around(m)), m, nil)
	return wire.Splice(b, at, m.Payload.JSON())
}

// around is what a text frame takes besides its payload, roughly.
func around(m wire.Message) int {
	return len(m.Topic) + len(m.Event) + m.JoinRef.Len() + m.Ref.Len() + 64
}

// appendText appends a text frame, and returns where in it the payload begins.
func appendText(b []byte, m wire.Message, payload []byte) (_ []byte, at int) {
	b = append(b, '[')
	b = m.JoinRef.AppendJSON(b)
	b = append(b, ',')
	b = m.Ref.AppendJSON(b)
	b = append(b, ',')
	b = jsontext.AppendString(b, m.Topic)
	b = append(b, ',')
	end := "]"
	if m.Kind == wire.KindReply {
		b = append(b, `"phx_reply",{"status":`...)
		b = jsontext.AppendString(b, m.Status)
		b = append(b, `,"response":`...)
		end = "}]"
	} else {
		b = jsontext.AppendString(b, m.Event)
		b = append(b, ',')
	}
	at = len(b)
	b = append(b, payload...)
	return append(b, end...), at
}

func encodeBinary(m wire.Message) (*wire.Frame, error) {
	var kind byte
	var names []string
	switch m.Kind {
	case wire.KindReply:
		kind, names = binaryReply, []string{m.JoinRef.String(), m.Ref.String(), m.Topic, m.Status}
	case wire.KindBroadcast:
		kind, names = binaryBroadcast, []string{m.Topic, m.Event}
	default:
		kind, names = binaryPush, []string{m.JoinRef.String(), m.Topic, m.Event}
	}
	payload := m.Payload.Bytes()
	size := 1 + len(names) + len(payload)
	for _, name := range names {
		if len(name) > wire.MaxName {
			return nil, fmt.Errorf("%w: %d bytes in a binary frame, which takes %d: %.20q", wire.ErrTooLong, len(name), wire.MaxName, name)
		}
		size += len(name)
	}
	b := make([]byte, 0, size)
	b = append(b, kind)
	for _, name := range names {
		b = append(b, byte(len(name)))
	}
	for _, name := range names {
		b = append(b, name...)
	}
	b = append(b, payload...)
	return &wire.Frame{Binary: true, Data: b}, nil
}
