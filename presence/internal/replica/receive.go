package replica

import (
	"errors"
	"time"
)

// Message is a message that was decoded, or could not be.
type Message struct {
	msg message
	err error
}

// Decode reads a message that a replica of a wire version receives. It needs no
// replica, and may be called concurrently.
func Decode(data []byte, version int) Message {
	msg, err := decode(data, byte(version))
	return Message{msg, err}
}

// IsEcho reports whether a message says that it is from self, and is not worth
// decoding for that: all but heartbeats are not. It looks at no compressed one.
func IsEcho(data []byte, self string) bool {
	if len(data) < wirePrefix || data[0] != wireMagic || kind(data[3]) == kindHeartbeat || data[wirePrefix-1] != 0 {
		return false
	}
	r := reader{rest: data[wirePrefix:]}
	return string(r.bytes()) == self && !r.bad
}

// Receive takes a message from the bus.
func (r *Replica) Receive(now time.Time, m Message) {
	r.step(now)
	switch outdated := (*outdatedError)(nil); {
	case errors.As(m.err, &outdated):
		r.outdated(outdated)
	case m.err != nil:
		r.stats.Malformed++
	default:
		r.receive(m.msg)
	}
}

func (r *Replica) receive(msg message) {
	if msg.name == r.cfg.Name {
		switch {
		case msg.kind != kindHeartbeat: // nothing that others say of us changes us
		case msg.epoch == r.epoch:
			r.heardOurselves()
		case msg.epoch > r.epoch:
			r.heardRival(msg)
		}
		return
	}
	r.stats.Received++
	switch msg.kind {
	case kindHeartbeat:
		r.receiveHeartbeat(msg)
	case kindLeave:
		r.receiveLeave(msg)
	case kindSync:
		r.receiveSync(msg)
	case kindSyncAll:
		r.receiveSyncAll(msg)
	case kindProbe:
		r.op(OpPublish, r.address(msg.name, msg.epoch), r.header(kindAlive))
	case kindNack:
		r.receiveNack(msg)
	case kindAlive, kindDelta, kindTip, kindReply, kindPage:
		p := r.peers[msg.name]
		if p == nil || p.epoch != msg.epoch {
			return // only its own heartbeat admits a replica
		}
		if msg.kind == kindAlive {
			// It refreshes, but the presences of a peer that is down come back with a
			// heartbeat only: that tells what we missed.
			if p.up {
				r.alive(p)
			}
			return
		}
		if msg.kind == kindPage {
			r.receivePage(p, msg)
			return
		}
		for _, part := range msg.parts {
			t := r.followed(part.topic)
			if t == nil {
				continue
			}
			switch msg.kind {
			case kindTip:
				r.receiveTip(t, p, part)
			case kindReply:
				r.receiveReply(t, p, part)
			default:
				r.receiveDelta(t, p, part.delta, true, 0)
			}
			r.release(t) // a mirror keeps no topic that has nothing
		}
	}
}
