package bus

// A Lane is a kind of traffic. It is one byte of every message: a lane keeps its value
// for as long as replicas of different releases share a network.
type Lane byte

// The lanes in use. An application may open others for its own messages.
const (
	LanePresence Lane = 'p' // replication, package presence
	LaneChannel  Lane = 'c' // broadcasts, package channel
	LaneLongPoll Lane = 'l' // requests for sessions of other replicas, package transport/longpoll
)
