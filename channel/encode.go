package channel

import (
	"sync"

	"github.com/rollcall-go/rollcall/channel/wire"
)

// scratch is what one call of a codec appends to, so that it allocates nothing else.
type scratch struct {
	messages [1]wire.Message
	frames   [1]*wire.Frame
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

func (s *scratch) release() {
	*s = scratch{}
	scratches.Put(s)
}

// encode sends a message, unless it cannot be encoded.
func (c *Conn) encode(m wire.Message) error {
	s := scratches.Get().(*scratch)
	defer s.release()
	frames, err := c.codec.Encode(s.frames[:0], m)
	if err == nil {
		c.link.Send(frames...)
	}
	return err
}

// encodeShared encodes a message whose payload other clients are sent, too.
func (c *Conn) encodeShared(m wire.Message) ([]*wire.Frame, error) {
	if splicer, ok := c.codec.(wire.Splicer); ok && len(m.Payload.Bytes()) >= wire.SpliceFrom {
		if link, ok := c.link.(wire.Gatherer); ok && link.Gathers() {
			return []*wire.Frame{splicer.Splice(m)}, nil
		}
	}
	return c.codec.Encode(nil, m)
}
