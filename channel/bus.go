package channel

import "github.com/rollcall-go/rollcall/presence"

// Lane is the lane of a [Bus] that channel uses.
const Lane byte = 'c'

// replicaDest is the destination of what is for one replica alone.
func replicaDest(replica string) string { return "c:" + replica }

// topicDest is the destination of a topic's broadcasts. It is presence's own,
// so that both share what a subscription costs.
func topicDest(topic string) string { return presence.TopicDest(topic) }

// A Bus carries broadcasts between replicas: at most once, in order from one
// sender to one receiver. It has the methods of [presence.Bus], where they are
// described; *natsbus.Bus and *membus.Bus meet both, and one bus serves both.
type Bus interface {
	Listen(lane byte, receive func(data []byte), event func(event, dest string)) (stop func(), err error)
	Subscribe(lane byte, dest string) error
	Unsubscribe(lane byte, dest string) error
	Publish(lane byte, dest string, data []byte) error
	Request(lane byte, dest string, data []byte) error
	MaxPayload() int
}
