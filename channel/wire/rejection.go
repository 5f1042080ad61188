package wire

// A Rejection is something that a client was refused, or that ended its channel
// or its connection, because of a limit or a fault of the client's. It is reported to
// the log and to telemetry.
type Rejection struct {
	Cause Cause
	// Transport and Remote are how and from where the client came. Empty: as its
	// connection has it.
	Transport string
	Remote    string
	// Topic is what the client asked for, where it is about one. It may be
	// anything that a client can send, of any length.
	Topic string
	// Limit is the limit that was exceeded: an int, a float64 or a
	// time.Duration. Nil: it is about no limit.
	Limit any
	// Code is what the client is told with, an HTTP status or a close code. Zero:
	// an error reply, or phx_error.
	Code int
	// Err says more, for the log. May be nil.
	Err error
}

// A Cause is why something was rejected. There are few, so that a metric may
// have them as a label.
type Cause string

// What keeps a client from connecting.
const (
	CauseVersion     Cause = "version"     // no protocol for its vsn
	CauseOrigin      Cause = "origin"      // of a page that may not connect
	CauseSubprotocol Cause = "subprotocol" // none that is served, or a bad auth token in one
	CauseHandshake   Cause = "handshake"   // no valid handshake
	CauseSession     Cause = "session"     // the transport's Session option refused the client, or failed
	CauseConnections Cause = "connections" // there are as many as there may be
	CauseAddress     Cause = "address"     // its address has as many connections as one may have
	CauseDraining    Cause = "draining"    // the replica shuts down
	CauseFault       Cause = "fault"       // of the program: a bad Handler, a panic
)

// What keeps a client from joining a topic.
const (
	CauseUnmatched   Cause = "unmatched_topic" // no route
	CauseTopicLength Cause = "topic_length"    // MaxTopic
	CauseJoinRate    Cause = "join_rate"       // Config.JoinRate
	CauseChannels    Cause = "channels"        // Config.MaxChannels
	CauseOverloaded  Cause = "overloaded"      // Config.MaxJoinsWaiting or JoinWait; of a connection: too many connect at once
)

// What ends a channel.
const (
	CauseMailbox Cause = "mailbox" // Config.MailboxSize or MailboxBytes
)

// What ends a connection, or refuses a request that brought messages.
const (
	CauseMalformed Cause = "malformed"  // a frame that cannot be decoded
	CauseText      Cause = "text"       // text that is not UTF-8
	CauseFrameSize Cause = "frame_size" // a frame, or a body, above the limit
	CauseFlood     Cause = "flood"      // more messages than Config.MessageRate
	CauseProtocol  Cause = "protocol"   // a violation of the transport's protocol
	CauseIdle      Cause = "idle"       // silence for too long
	CauseSlow      Cause = "slow"       // a client that does not read what it is sent
	CauseBinary    Cause = "binary"     // bytes for a client that can be sent only text
)

// Causes returns every Cause that package channel and the transports give.
func Causes() []Cause {
	return []Cause{
		CauseVersion, CauseOrigin, CauseSubprotocol, CauseHandshake, CauseSession, CauseConnections, CauseAddress, CauseDraining, CauseFault,
		CauseUnmatched, CauseTopicLength, CauseJoinRate, CauseChannels, CauseOverloaded,
		CauseMailbox,
		CauseMalformed, CauseText, CauseFrameSize, CauseFlood, CauseProtocol, CauseIdle, CauseSlow, CauseBinary,
	}
}
