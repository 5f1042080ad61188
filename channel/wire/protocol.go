package wire

import (
	"errors"
	"fmt"
	"net"
	"unicode/utf8"
)

// A Protocol is a version of a wire protocol. One value serves all connections that
// speak it, so that a broadcast is encoded once for them. It must be comparable. Its
// methods may be called concurrently.
type Protocol interface {
	// Open begins a connection and returns its codec. A protocol that keeps nothing of
	// a connection returns the same codec for all. Open must not block.
	Open(p Peer) Codec
	// Broadcast appends the frames of a broadcast, which are sent to all connections of
	// this protocol. If they differ from one connection to another it returns
	// ErrNotShared, and the codec of each connection encodes the broadcast.
	Broadcast(frames []*Frame, m Message) ([]*Frame, error)
}

// A Codec decodes and encodes the messages of one connection. Decode is called for one
// frame of a connection after another. Encode may be called concurrently, with itself and
// with Decode; the frames of messages that are encoded at the same time go out in any
// order, each message's together.
type Codec interface {
	// Decode reads a frame of the client and appends its messages: one, or none, or
	// several. The text of a text frame has been checked to be UTF-8. It must not keep
	// data. An error closes the connection with CloseInternal; messages that it returns
	// with the error are dropped.
	Decode(messages []Message, binary bool, data []byte) ([]Message, error)
	// Encode appends the frames of a message to the client: one, or none, or several,
	// which go out together. A message that it returns an error for is not sent.
	Encode(frames []*Frame, m Message) ([]*Frame, error)
}

// A Splicer is a [Codec] that can make a frame around a payload without copying it;
// see [Splice]. The states of large rooms are sent in this way.
type Splicer interface {
	// Splice returns the frame of a message whose payload is JSON.
	Splice(m Message) *Frame
}

// A Peer is a connection as its protocol sees it.
type Peer interface {
	// Transport is the name of the transport.
	Transport() string
	// Vsn is the version that the client asked for.
	Vsn() string
	// RemoteAddr is the client's address, nil if it is not known.
	RemoteAddr() net.Addr
	// ID is the connection's id, empty if it is anonymous.
	ID() string
	// Value returns what the application assigned to the connection under key, or nil.
	Value(key string) any
	// Send sends frames of the protocol's own. It does not block.
	Send(frames ...*Frame)
}

// Errors of protocols.
var (
	// ErrVersion: the client asked for a version of the protocol that is not served.
	// channel.Endpoint.Connect returns it in a *channel.ConnectError.
	ErrVersion = errors.New("channel: unsupported protocol version")
	// ErrNotShared: see [Protocol].Broadcast.
	ErrNotShared = errors.New("channel: not the same frame for all connections")
	// ErrNoBinary: version 1 of Phoenix's protocol carries no [Binary]. A push or reply
	// of one fails with it; a broadcast skips the clients of that version, which is
	// logged.
	ErrNoBinary = errors.New("channel: version 1 of the protocol carries no binary payload")
)

// Guard returns p held to its contract: a panic in Broadcast, Decode or Encode, and an
// invalid frame or message, is an error. A panic in Open passes through: the transport
// contains it, and ends the connection.
func Guard(p Protocol) Protocol { return guarded{p} }

type guarded struct{ protocol Protocol }

func (g guarded) Open(p Peer) Codec { return guardedCodec{g.protocol.Open(p)} }

func (g guarded) Broadcast(frames []*Frame, m Message) (_ []*Frame, err error) {
	defer contain("Broadcast", &err)
	before := len(frames)
	if frames, err = g.protocol.Broadcast(frames, m); err != nil {
		return nil, err
	}
	return checkFrames(frames, before, true)
}

type guardedCodec struct{ codec Codec }

func (g guardedCodec) Decode(messages []Message, binary bool, data []byte) (_ []Message, err error) {
	defer contain("Decode", &err)
	before := len(messages)
	if messages, err = g.codec.Decode(messages, binary, data); err != nil {
		return nil, err
	}
	for i := before; i < len(messages); i++ {
		if m := &messages[i]; !utf8.ValidString(m.Topic) || !utf8.ValidString(m.Event) {
			return nil, errors.New("a name is not UTF-8")
		}
		messages[i].Kind = KindPush
	}
	return messages, nil
}

func (g guardedCodec) Encode(frames []*Frame, m Message) (_ []*Frame, err error) {
	defer contain("Encode", &err)
	before := len(frames)
	if frames, err = g.codec.Encode(frames, m); err != nil {
		return nil, err
	}
	return checkFrames(frames, before, false)
}

// checkFrames checks the frames that a protocol appended, and replaces them by new ones,
// since a protocol may give its own to others too.
func checkFrames(frames []*Frame, before int, shared bool) ([]*Frame, error) {
	for i, f := range frames[before:] {
		if f == nil {
			return nil, errors.New("the protocol made no frame")
		}
		if !f.Binary && !utf8.Valid(f.Data) {
			return nil, errors.New("the protocol made a text frame that is not UTF-8")
		}
		frames[before+i] = &Frame{Binary: f.Binary, Data: f.Data, Shared: shared}
	}
	return frames, nil
}

// contain makes an error of a panic of a protocol.
func contain(doing string, err *error) {
	if v := recover(); v != nil {
		*err = fmt.Errorf("panic of the protocol in %s: %v", doing, v)
	}
}
