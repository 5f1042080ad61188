// Package phoenix1 is version 1 of Phoenix's protocol (vsn "1.0.x").
package phoenix1

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/rollcall-go/rollcall/channel/internal/jsontext"
	"github.com/rollcall-go/rollcall/channel/wire"
)

// Protocol is version 1. A frame is text, both ways: the object {"topic", "event",
// "payload", "ref"}. A client may add join_ref, and what it says then counts as in
// version 2; the server never sends one, so a client that has joined a topic several
// times cannot tell their frames apart, except by the ref of phx_close and phx_error,
// which is the join's join_ref, or null if it gave none. A reply has the event
// phx_reply and the payload {"status": s, "response": r}.
//
// There are no binary frames: bytes cannot be sent, see [wire.ErrNoBinary].
type Protocol struct{}

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
	if binary {
		return nil, fmt.Errorf("v1 frame: %w", wire.ErrNoBinary)
	}
	// A struct would take "Topic" for "topic", and null for an object.
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(data, &fields); err != nil {
		return nil, fmt.Errorf("v1 frame: %w", err)
	}
	if fields == nil {
		return nil, errors.New("v1 frame: null")
	}
	for _, name := range []string{"topic", "event", "payload", "ref"} {
		if _, ok := fields[name]; !ok {
			return nil, fmt.Errorf("v1 frame: no %s", name)
		}
	}
	m := wire.Message{Kind: wire.KindPush}
	_ = m.Payload.UnmarshalJSON(fields["payload"]) // valid by construction
	var err error
	if text, ok := fields["join_ref"]; ok {
		if m.JoinRef, err = wire.ParseRef(text); err != nil {
			return nil, fmt.Errorf("v1 frame: join_%w", err)
		}
	}
	if m.Ref, err = wire.ParseRef(fields["ref"]); err != nil {
		return nil, fmt.Errorf("v1 frame: %w", err)
	}
	if m.Topic, err = jsontext.String(fields["topic"]); err != nil {
		return nil, fmt.Errorf("v1 frame: topic: %w", err)
	}
	if m.Event, err = jsontext.String(fields["event"]); err != nil {
		return nil, fmt.Errorf("v1 frame: event: %w", err)
	}
	return append(messages, m), nil
}

// Encode implements [wire.Codec].
func (Protocol) Encode(frames []*wire.Frame, m wire.Message) ([]*wire.Frame, error) {
	if m.Payload.IsBinary() {
		return nil, wire.ErrNoBinary
	}
	payload := m.Payload.JSON()
	b, _ := appendFrame(make([]byte, 0, around(m)+len(payload)), m, payload)
	return append(frames, &wire.Frame{Data: b}), nil
}

// Splice implements [wire.Splicer].
func (Protocol) Splice(m wire.Message) *wire.Frame {
	b, at := appendFrame(make([]byte, 0, around(m)), m, nil)
	return wire.Splice(b, at, m.Payload.JSON())
}

// around is what a frame takes besides its payload, roughly.
func around(m wire.Message) int { return len(m.Topic) + len(m.Event) + m.Ref.Len() + 80 }

// appendFrame appends a frame, and returns where in it the payload begins.
func appendFrame(b []byte, m wire.Message, payload []byte) (_ []byte, at int) {
	b = append(b, `{"topic":`...)
	b = jsontext.AppendString(b, m.Topic)
	b = append(b, `,"event":`...)
	end := ""
	if m.Kind == wire.KindReply {
		b = append(b, `"phx_reply","payload":{"status":`...)
		b = jsontext.AppendString(b, m.Status)
		b = append(b, `,"response":`...)
		end = "}"
	} else {
		b = jsontext.AppendString(b, m.Event)
		b = append(b, `,"payload":`...)
	}
	at = len(b)
	b = append(b, payload...)
	b = append(b, end...)
	b = append(b, `,"ref":`...)
	b = m.Ref.AppendJSON(b)
	return append(b, '}'), at
}
