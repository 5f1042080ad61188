package channeltest

import (
	"sync"

	"github.com/rollcall-go/rollcall/channel"
	"github.com/rollcall-go/rollcall/channel/wire"
	"github.com/rollcall-go/rollcall/channel/wire/phoenix2"
)

// native is the protocol of one client: version 2, and it remembers what the
// payload of each frame was before, so that the test gets the value itself.
type native struct {
	phoenix2.Protocol

	mu       sync.Mutex
	payloads map[*byte]channel.Payload // by the first byte of the frame, for as long as the client
}

func newNative() *native {
	return &native{payloads: map[*byte]channel.Payload{}}
}

// Open implements wire.Protocol.
func (n *native) Open(wire.Peer) wire.Codec { return n }

// Broadcast implements wire.Protocol.
func (n *native) Broadcast(frames []*wire.Frame, m wire.Message) ([]*wire.Frame, error) {
	return n.Encode(frames, m)
}

// Encode implements wire.Codec.
func (n *native) Encode(frames []*wire.Frame, m wire.Message) ([]*wire.Frame, error) {
	frames, err := n.Protocol.Encode(frames, m)
	if err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.payloads[&frames[len(frames)-1].Data[0]] = m.Payload // no frame is empty
	return frames, nil
}

// decode reads a frame that Encode made, with the payload that it was given. Its
// JSON is what the frame says.
func (n *native) decode(f *wire.Frame) (message, error) {
	m, err := decode(f)
	if err != nil {
		return m, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if p, ok := n.payloads[&f.Data[0]]; ok {
		m.payload = p
	}
	return m, nil
}
