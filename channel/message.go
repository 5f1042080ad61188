package channel

import (
	"encoding/json"
	"errors"
	"fmt"
)

// Events and topics of the protocol itself.
const (
	eventJoin      = "phx_join"
	eventLeave     = "phx_leave"
	eventReply     = "phx_reply"
	eventClose     = "phx_close"
	eventError     = "phx_error"
	eventHeartbeat = "heartbeat"
	topicPhoenix   = "phoenix"

	eventPresenceState = "presence_state"
	eventPresenceDiff  = "presence_diff"

	// eventDisconnect on the topic of a connection's id closes it.
	eventDisconnect = "disconnect"

	statusOK    = "ok"
	statusError = "error"
)

// A Ref is a ref or join_ref of a message: a string, a number or null, chosen
// by the client and opaque to us. It is sent back as it came. The zero Ref is
// null. Refs are comparable with ==; "1" and 1 are different refs.
type Ref struct {
	// text is the ref's JSON text, canonical for strings; empty is null.
	text string
}

// StringRef is the ref that is the string s.
func StringRef(s string) Ref {
	text, _ := marshal(s) // a string always marshals
	return Ref{text: string(text)}
}

// parseRef reads a ref from JSON text.
func parseRef(text json.RawMessage) (Ref, error) {
	switch {
	case len(text) == 0:
		return Ref{}, errors.New("ref is missing")
	case string(text) == "null":
		return Ref{}, nil
	case text[0] == '"':
		if isPlain(text) {
			return Ref{text: string(text)}, nil // canonical as it is
		}
		var s string
		if err := json.Unmarshal(text, &s); err != nil {
			return Ref{}, err
		}
		return StringRef(s), nil
	case text[0] == '-' || text[0] >= '0' && text[0] <= '9':
		return Ref{text: string(text)}, nil
	}
	return Ref{}, fmt.Errorf("ref is %.20s, neither string nor number nor null", text)
}

// MarshalJSON is the ref as it stands in a text frame.
func (r Ref) MarshalJSON() ([]byte, error) { return []byte(r.json()), nil }

// UnmarshalJSON reads a ref; a value that can be none is an error.
func (r *Ref) UnmarshalJSON(text []byte) (err error) {
	*r, err = parseRef(text)
	return err
}

// IsNull tells whether the ref is null.
func (r Ref) IsNull() bool { return r.text == "" }

// String is the string, or the number's text; it is empty for null.
func (r Ref) String() string {
	if r.text == "" || r.text[0] != '"' {
		return r.text
	}
	var s string
	_ = json.Unmarshal([]byte(r.text), &s) // JSON by construction
	return s
}

// json is the ref as it stands in a text frame.
func (r Ref) json() string {
	if r.text == "" {
		return "null"
	}
	return r.text
}

// A Kind is the shape of a message, which a serializer needs to know because
// their frames differ.
type Kind uint8

// The kinds of messages.
const (
	// KindPush: from the client, or to one client (then Ref is that of nothing,
	// except in phx_close and phx_error).
	KindPush Kind = iota
	// KindReply: answers the push with Ref; Status says how, Event is unused.
	KindReply
	// KindBroadcast: the same to everybody; JoinRef and Ref are null.
	KindBroadcast
)

// A Message is what one frame says.
type Message struct {
	Kind    Kind
	JoinRef Ref
	Ref     Ref
	Topic   string
	Event   string
	Status  string
	Payload Payload
}

// maxRef is the most bytes of a ref's JSON text. A join's are kept as long as its
// channel lives. What fits into a binary frame fits here, however it is escaped.
const maxRef = 2 << 10

// size is what the message holds of what its client chose, in bytes.
func (m *Message) size() int {
	return len(m.JoinRef.text) + len(m.Ref.text) + len(m.Topic) + len(m.Event) + len(m.Payload.data)
}

// reply makes the reply to a message of the channel with joinRef; null where
// there is no such channel.
func reply(joinRef, ref Ref, topic, status string, response Payload) Message {
	return Message{Kind: KindReply, JoinRef: joinRef, Ref: ref, Topic: topic, Event: eventReply, Status: status, Payload: response}
}

// reasonPayload is {"reason": reason}.
func reasonPayload(reason string) Payload {
	text, _ := marshal(map[string]string{"reason": reason}) // always marshals
	return rawPayload(text)
}

var (
	reasonUnmatched   = reasonPayload("unmatched topic")
	reasonJoinCrashed = reasonPayload("join crashed")
	reasonTooMany     = reasonPayload("too many channels joined")
	reasonTooFast     = reasonPayload("too many joins")
	reasonOverloaded  = reasonPayload("overloaded")
	reasonTopicLength = reasonPayload("topic too long")
	reasonCrash       = reasonPayload("channel_crash")
)
