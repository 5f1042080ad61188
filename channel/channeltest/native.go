package channeltest

import (
	"sync"

	"github.com/rollcall-go/rollcall/channel"
)

// native is the serializer of one client: version 2, and it remembers what the
// payload of each frame was before, so that the test gets the value itself.
type native struct {
	channel.Serializer

	mu       sync.Mutex
	payloads map[*byte]channel.Payload // by the first byte of the frame, for as long as the client
}

func newNative() *native {
	return &native{Serializer: channel.V2(), payloads: map[*byte]channel.Payload{}}
}

// Encode implements channel.Serializer.
func (n *native) Encode(m channel.Message) (*channel.Frame, error) {
	f, err := n.Serializer.Encode(m)
	if err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.payloads[&f.Data[0]] = m.Payload // no frame is empty
	return f, nil
}

// decode reads a frame that Encode made, with the payload that it was given. Its
// JSON is what the frame says.
func (n *native) decode(f *channel.Frame) (message, error) {
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
