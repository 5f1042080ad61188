package fastlane

import (
	"errors"
	"sync"

	"github.com/rollcall-go/rollcall/channel/wire"
)

// A Broadcast is a broadcast on its way to the connections of this replica, with its
// frames. It may be used concurrently.
type Broadcast struct {
	wire.Broadcast
	// LowPriority marks its frames.
	LowPriority bool

	// frames are those of each protocol of ours, own those of the application's.
	frames [len(phoenix)]frames
	ownMu  sync.Mutex
	own    map[wire.Protocol]*frames
}

// frames are made when they are first needed, and then shared by all connections of a
// protocol.
type frames struct {
	once sync.Once
	list []*wire.Frame
	one  [1]*wire.Frame // in which list begins
	each bool           // every connection has frames of its own
}

func (b *Broadcast) slot(s *Served) *frames {
	if s.index >= 0 {
		return &b.frames[s.index]
	}
	b.ownMu.Lock()
	defer b.ownMu.Unlock()
	slot := b.own[s.key]
	if slot == nil {
		if b.own == nil {
			b.own = map[wire.Protocol]*frames{}
		}
		slot = &frames{}
		b.own[s.key] = slot
	}
	return slot
}

// Frames returns the frames for a connection that speaks s with a codec. The error is of
// this call: for frames that are shared it is returned once, and afterwards there are no
// frames.
func (b *Broadcast) Frames(s *Served, codec wire.Codec) ([]*wire.Frame, error) {
	slot := b.slot(s)
	var err error
	slot.once.Do(func() {
		var list []*wire.Frame
		list, err = s.Broadcast(slot.one[:0], b.message())
		switch {
		case errors.Is(err, wire.ErrNotShared):
			slot.each, err = true, nil
		case err == nil:
			slot.list = b.marked(list)
		}
	})
	if err != nil || !slot.each {
		return slot.list, err
	}
	list, err := codec.Encode(nil, b.message())
	if err != nil {
		return nil, err
	}
	return b.marked(list), nil
}

func (b *Broadcast) message() wire.Message {
	return wire.Message{Kind: wire.KindBroadcast, Topic: b.Topic, Event: b.Event, Payload: b.Payload}
}

func (b *Broadcast) marked(list []*wire.Frame) []*wire.Frame {
	for _, f := range list {
		f.LowPriority = b.LowPriority
	}
	return list
}
