package longpoll

import "encoding/hex"

// DefaultLane is the lane of a [Bus] that this package uses.
const DefaultLane byte = 'l'

// A Bus carries requests to the replica that has their session: at most once,
// in order from one sender to one receiver. It has the methods of the buses of
// packages presence and channel, where they are described; one bus serves all.
type Bus interface {
	Listen(lane byte, receive func(data []byte), event func(event, dest string)) (stop func(), err error)
	Subscribe(lane byte, dest string) error
	Unsubscribe(lane byte, dest string) error
	Publish(lane byte, dest string, data []byte) error
	Request(lane byte, dest string, data []byte) error
	MaxPayload() int
}

// The events of a bus that change something here.
const (
	busLost        = "lost"        // messages may have been dropped
	busDown        = "down"        // no connection
	busUp          = "up"          // the connection is back
	busUnreachable = "unreachable" // a request's destination has no subscriber
)

// A replicaID names one running transport, by chance.
type replicaID [16]byte

// dest is where that transport is reached.
func (id replicaID) dest() string { return "l:" + hex.EncodeToString(id[:]) }

// A sessionID names one session of one transport, by chance.
type sessionID [16]byte
