package wire

import "github.com/rollcall-go/rollcall/channel/internal/jsontext"

// Events of messages that channels are joined and ended with, and the topic and event
// of a connection's heartbeat. A protocol of other words translates into these.
const (
	EventJoin      = "phx_join"
	EventLeave     = "phx_leave"
	EventReply     = "phx_reply"
	EventClose     = "phx_close" // the channel ended as planned; its client stays out
	EventError     = "phx_error" // the channel failed; its client rejoins
	EventHeartbeat = "heartbeat"
	TopicPhoenix   = "phoenix"
)

// Statuses of replies to joins, leaves and heartbeats.
const (
	StatusOK    = "ok"
	StatusError = "error"
)

// A Kind is the shape of a message, which a protocol needs to know because
// their frames differ.
type Kind uint8

// The kinds of messages.
const (
	// KindPush: from the client, or to one client. To a client Ref is null, except in
	// EventClose and EventError.
	KindPush Kind = iota
	// KindReply: answers the push with Ref; Status says how, Event is EventReply.
	KindReply
	// KindBroadcast: the same to all clients; JoinRef and Ref are null.
	KindBroadcast
)

// A Message is what a client or the server says.
type Message struct {
	Kind    Kind
	JoinRef Ref
	Ref     Ref
	Topic   string
	Event   string
	Status  string
	Payload Payload
}

// MaxRef is the most bytes of a ref's JSON text; a longer one closes the connection.
// That of a join is kept as long as its channel lives. What fits into a binary frame
// of Phoenix fits here, however it is escaped.
const MaxRef = 2 << 10

// Size returns how many bytes the message holds that its client chose.
func (m *Message) Size() int {
	return m.JoinRef.Len() + m.Ref.Len() + len(m.Topic) + len(m.Event) + len(m.Payload.data) + len(m.Payload.metadata)
}

// Reply returns the reply to the message with ref of the channel with joinRef, which
// is null where there is no such channel.
func Reply(joinRef, ref Ref, topic, status string, response Payload) Message {
	return Message{Kind: KindReply, JoinRef: joinRef, Ref: ref, Topic: topic, Event: EventReply, Status: status, Payload: response}
}

// Reasons of error replies, and of EventError.
var (
	JoinCrashed    = because("join crashed")
	Overloaded     = because("overloaded")
	unmatchedTopic = because("unmatched topic")
	tooMany        = because("too many channels joined")
	tooFast        = because("too many joins")
	topicTooLong   = because("topic too long")
	channelCrash   = because("channel_crash")
)

// because returns {"reason": reason}.
func because(reason string) Payload {
	text, _ := jsontext.Marshal(map[string]string{"reason": reason}) // always marshals
	return RawPayload(text)
}
