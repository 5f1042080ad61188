package channel

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
)

// v2 is the serializer of version 2 of the protocol.
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
type v2 struct{}

const (
	binaryPush      = 0
	binaryReply     = 1
	binaryBroadcast = 2
)

// maxBinaryName is what a length of one byte can say.
const maxBinaryName = 255

func (v2) Decode(binary bool, data []byte) (Message, error) {
	if binary {
		return decodeV2Binary(data)
	}
	return decodeV2Text(data)
}

func decodeV2Text(data []byte) (Message, error) {
	var parts [5]json.RawMessage
	n, err := elements(data, parts[:])
	if err != nil {
		return Message{}, fmt.Errorf("v2 text frame: %w", err)
	}
	if n < len(parts) {
		return Message{}, fmt.Errorf("v2 text frame: %d elements, need %d", n, len(parts))
	}
	m := Message{Kind: KindPush}
	if m.JoinRef, err = parseRef(parts[0]); err != nil {
		return Message{}, fmt.Errorf("v2 text frame: join_%w", err)
	}
	if m.Ref, err = parseRef(parts[1]); err != nil {
		return Message{}, fmt.Errorf("v2 text frame: %w", err)
	}
	if m.Topic, err = parseName(parts[2]); err != nil {
		return Message{}, fmt.Errorf("v2 text frame: topic: %w", err)
	}
	if m.Event, err = parseName(parts[3]); err != nil {
		return Message{}, fmt.Errorf("v2 text frame: event: %w", err)
	}
	m.Payload = textPayload(parts[4])
	return m, nil
}

// elements cuts a JSON array into its elements, fills parts with the first of
// them, and returns how many there are. encoding/json would do it with an
// allocation and a second look for each.
func elements(text []byte, parts []json.RawMessage) (n int, err error) {
	array := bytes.TrimLeft(text, " \t\r\n")
	if !json.Valid(array) || array[0] != '[' {
		var list []json.RawMessage
		return 0, json.Unmarshal(text, &list) // it knows why; null is an empty list
	}
	depth, begin, inside := 0, 1, false // inside a string
	for i := 0; i < len(array); i++ {
		c := array[i]
		switch {
		case inside:
			if c == '\\' {
				i++
			}
			inside = c != '"'
			continue
		case c == '"':
			inside = true
			continue
		case c == '[', c == '{':
			depth++
			continue
		case c == ']', c == '}':
			depth--
		}
		if depth > 1 || depth == 1 && c != ',' {
			continue
		}
		if part := bytes.Trim(array[begin:i], " \t\r\n"); len(part) > 0 { // else the array is empty
			if n < len(parts) {
				parts[n] = part
			}
			n++
		}
		if depth == 0 {
			break // only space follows
		}
		begin = i + 1
	}
	return n, nil
}

// isPlain tells whether a JSON string is what stands between its quotes, in
// ASCII.
func isPlain(text json.RawMessage) bool {
	for _, c := range text[1 : len(text)-1] {
		if c == '\\' || c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// parseName reads a JSON string; null, which encoding/json would let pass, is
// none.
func parseName(text json.RawMessage) (string, error) {
	if len(text) == 0 || text[0] != '"' {
		return "", errors.New("not a string")
	}
	if isPlain(text) {
		return string(text[1 : len(text)-1]), nil
	}
	var s string
	err := json.Unmarshal(text, &s)
	return s, err
}

// textPayload is the payload of valid JSON text; null, which some clients send
// for want of anything, is {}. The text is compacted into a copy: what it was
// cut from belongs to the caller.
func textPayload(text json.RawMessage) Payload {
	if string(text) == "null" {
		return Payload{}
	}
	var buf bytes.Buffer
	buf.Grow(len(text))
	_ = json.Compact(&buf, text) // valid by construction
	return rawPayload(buf.Bytes())
}

func decodeV2Binary(data []byte) (Message, error) {
	if len(data) < 5 {
		return Message{}, errors.New("v2 binary frame: cut short")
	}
	if data[0] != binaryPush {
		return Message{}, fmt.Errorf("v2 binary frame: kind %d is not for clients to send", data[0])
	}
	sizes, rest := data[1:5], data[5:]
	var names [4]string
	for i, size := range sizes {
		if int(size) > len(rest) {
			return Message{}, errors.New("v2 binary frame: cut short")
		}
		names[i], rest = string(rest[:size]), rest[size:]
		if !utf8.ValidString(names[i]) {
			return Message{}, errors.New("v2 binary frame: a name is not UTF-8")
		}
	}
	return Message{
		Kind:    KindPush,
		JoinRef: StringRef(names[0]),
		Ref:     StringRef(names[1]),
		Topic:   names[2],
		Event:   names[3],
		Payload: Payload{data: append([]byte{}, rest...), binary: true},
	}, nil
}

func (v2) Encode(m Message) (*Frame, error) {
	if m.Payload.binary {
		return encodeV2Binary(m)
	}
	payload := m.Payload.JSON()
	b, _ := appendV2(make([]byte, 0, v2Around(m)+len(payload)), m, payload)
	return &Frame{Data: b, Shared: m.Kind == KindBroadcast}, nil
}

func (v2) splice(m Message) *Frame {
	b, at := appendV2(make([]byte, 0, v2Around(m)), m, nil)
	return &Frame{Data: b, Shared: m.Kind == KindBroadcast, insert: &insert{at, m.Payload.JSON()}}
}

// v2Around is what a text frame takes besides its payload, roughly.
func v2Around(m Message) int {
	return len(m.Topic) + len(m.Event) + len(m.JoinRef.text) + len(m.Ref.text) + 64
}

// appendV2 appends a text frame, and tells where in it the payload begins.
func appendV2(b []byte, m Message, payload []byte) (_ []byte, at int) {
	b = append(b, '[')
	b = append(b, m.JoinRef.json()...)
	b = append(b, ',')
	b = append(b, m.Ref.json()...)
	b = append(b, ',')
	b = appendString(b, m.Topic)
	b = append(b, ',')
	end := "]"
	if m.Kind == KindReply {
		b = append(b, `"phx_reply",{"status":`...)
		b = appendString(b, m.Status)
		b = append(b, `,"response":`...)
		end = "}]"
	} else {
		b = appendString(b, m.Event)
		b = append(b, ',')
	}
	at = len(b)
	b = append(b, payload...)
	return append(b, end...), at
}

// appendString appends a JSON string. Most are plain ASCII and need no encoder.
func appendString(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= utf8.RuneSelf || c == '"' || c == '\\' {
			text, _ := marshal(s) // a string always marshals
			return append(b, text...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

func encodeV2Binary(m Message) (*Frame, error) {
	var kind byte
	var names []string
	switch m.Kind {
	case KindReply:
		kind, names = binaryReply, []string{m.JoinRef.String(), m.Ref.String(), m.Topic, m.Status}
	case KindBroadcast:
		kind, names = binaryBroadcast, []string{m.Topic, m.Event}
	default:
		kind, names = binaryPush, []string{m.JoinRef.String(), m.Topic, m.Event}
	}
	size := 1 + len(names) + len(m.Payload.data)
	for _, name := range names {
		if len(name) > maxBinaryName {
			return nil, fmt.Errorf("%w: %d bytes in a binary frame, which takes %d: %.20q", ErrTooLong, len(name), maxBinaryName, name)
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
	b = append(b, m.Payload.data...)
	return &Frame{Binary: true, Data: b, Shared: m.Kind == KindBroadcast}, nil
}
