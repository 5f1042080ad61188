package channel

import (
	"encoding/json"
	"errors"
	"fmt"
)

// v1 is the serializer of version 1 of the protocol. A frame is text, both
// ways: the object {"topic", "event", "payload", "ref"}. A client may add
// join_ref, and what it says then counts as in version 2; the server never
// sends one, so that a client that has several joins of one topic behind it
// cannot tell their frames apart, except by the ref of phx_close and phx_error,
// which is the join's join_ref, or null if it gave none. A reply has the event
// phx_reply and the payload {"status": s, "response": r}.
//
// There are no binary frames: bytes cannot be said, see ErrNoBinary.
type v1 struct{}

func (v1) Decode(binary bool, data []byte) (Message, error) {
	if binary {
		return Message{}, fmt.Errorf("v1 frame: %w", ErrNoBinary)
	}
	// A struct would take "Topic" for "topic", and null for an object.
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(data, &fields); err != nil {
		return Message{}, fmt.Errorf("v1 frame: %w", err)
	}
	if fields == nil {
		return Message{}, errors.New("v1 frame: null")
	}
	for _, name := range []string{"topic", "event", "payload", "ref"} {
		if _, ok := fields[name]; !ok {
			return Message{}, fmt.Errorf("v1 frame: no %s", name)
		}
	}
	m := Message{Kind: KindPush, Payload: textPayload(fields["payload"])}
	var err error
	if text, ok := fields["join_ref"]; ok {
		if m.JoinRef, err = parseRef(text); err != nil {
			return Message{}, fmt.Errorf("v1 frame: join_%w", err)
		}
	}
	if m.Ref, err = parseRef(fields["ref"]); err != nil {
		return Message{}, fmt.Errorf("v1 frame: %w", err)
	}
	if m.Topic, err = parseName(fields["topic"]); err != nil {
		return Message{}, fmt.Errorf("v1 frame: topic: %w", err)
	}
	if m.Event, err = parseName(fields["event"]); err != nil {
		return Message{}, fmt.Errorf("v1 frame: event: %w", err)
	}
	return m, nil
}

func (v1) Encode(m Message) (*Frame, error) {
	if m.Payload.binary {
		return nil, ErrNoBinary
	}
	payload := m.Payload.JSON()
	b, _ := appendV1(make([]byte, 0, v1Around(m)+len(payload)), m, payload)
	return &Frame{Data: b, Shared: m.Kind == KindBroadcast}, nil
}

func (v1) splice(m Message) *Frame {
	b, at := appendV1(make([]byte, 0, v1Around(m)), m, nil)
	return &Frame{Data: b, Shared: m.Kind == KindBroadcast, insert: &insert{at, m.Payload.JSON()}}
}

// v1Around is what a frame takes besides its payload, roughly.
func v1Around(m Message) int { return len(m.Topic) + len(m.Event) + len(m.Ref.text) + 80 }

// appendV1 appends a frame, and tells where in it the payload begins.
func appendV1(b []byte, m Message, payload []byte) (_ []byte, at int) {
	b = append(b, `{"topic":`...)
	b = appendString(b, m.Topic)
	b = append(b, `,"event":`...)
	end := ""
	if m.Kind == KindReply {
		b = append(b, `"phx_reply","payload":{"status":`...)
		b = appendString(b, m.Status)
		b = append(b, `,"response":`...)
		end = "}"
	} else {
		b = appendString(b, m.Event)
		b = append(b, `,"payload":`...)
	}
	at = len(b)
	b = append(b, payload...)
	b = append(b, end...)
	b = append(b, `,"ref":`...)
	b = append(b, m.Ref.json()...)
	return append(b, '}'), at
}
