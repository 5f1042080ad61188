package channel

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"sync"

	"github.com/rollcall-go/rollcall/channel/wire"
	"github.com/rollcall-go/rollcall/channel/wire/phoenix1"
	"github.com/rollcall-go/rollcall/channel/wire/phoenix2"
)

// served is a protocol with the version it serves, and where a broadcast keeps its
// frames. A fault of an application's protocol, a panic among them, ends the connection
// in which a frame was decoded, or keeps one message from the clients that it was
// encoded for.
type served struct {
	version  string
	index    int           // of ours in dispatch.frames; -1: under key
	key      wire.Protocol // what the application gave
	protocol wire.Protocol
}

// phoenix are the protocols that are served without an application's.
var phoenix = [...]*served{
	{version: "2.0", index: 0, protocol: phoenix2.Protocol{}},
	{version: "1.0", index: 1, protocol: phoenix1.Protocol{}},
}

// newServed checks a protocol of the application. One of ours keeps its place.
func newServed(version string, p wire.Protocol) (*served, error) {
	switch {
	case p == nil:
		return nil, errors.New("it is nil")
	case !reflect.ValueOf(p).Comparable():
		return nil, fmt.Errorf("a %T cannot be compared: give a pointer to it", p)
	case !validVersion(version, 2):
		return nil, errors.New("the version is not of the form major.minor")
	}
	for _, ours := range phoenix {
		if ours.protocol == p {
			return &served{version: version, index: ours.index, protocol: p}, nil
		}
	}
	return &served{version: version, index: -1, key: p, protocol: wire.Guard(p)}, nil
}

// validVersion reports whether text consists of so many numbers between dots.
func validVersion(text string, numbers int) bool {
	parts := strings.Split(text, ".")
	for _, part := range parts {
		if _, err := strconv.ParseUint(part, 10, 31); err != nil || len(part) > 1 && part[0] == '0' {
			return false
		}
	}
	return len(parts) == numbers
}

// defaultVsn is the version of a client without vsn.
const defaultVsn = "1.0.0"

// negotiate finds the protocol of a version (rows B004, B005).
func (h *Handler) negotiate(vsn string) (*served, error) {
	if !validVersion(vsn, 3) {
		return nil, fmt.Errorf("%w: %q: not of the form x.y.z", wire.ErrVersion, vsn)
	}
	s := h.protocols[vsn[:strings.LastIndexByte(vsn, '.')]]
	if s == nil {
		return nil, fmt.Errorf("%w: %q", wire.ErrVersion, vsn)
	}
	return s, nil
}

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
