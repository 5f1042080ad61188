// Package fastlane encodes a broadcast once for all connections that speak the same
// protocol, so that every one of them is sent the same frames.
package fastlane

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/rollcall-go/rollcall/channel/wire"
	"github.com/rollcall-go/rollcall/channel/wire/phoenix1"
	"github.com/rollcall-go/rollcall/channel/wire/phoenix2"
)

// A Served is a protocol with the version it serves, and where a broadcast keeps its
// frames. A fault of an application's protocol, a panic among them, ends the connection
// in which a frame was decoded, or keeps one message from the clients that it was
// encoded for.
type Served struct {
	wire.Protocol
	Version string

	index int           // of ours in Broadcast.frames; -1: under key
	key   wire.Protocol // what the application gave
}

// Phoenix returns the protocols that are served without an application's.
func Phoenix() []*Served { return phoenix[:] }

var phoenix = [...]*Served{
	{Version: "2.0", index: 0, Protocol: phoenix2.Protocol{}},
	{Version: "1.0", index: 1, Protocol: phoenix1.Protocol{}},
}

// Serve returns a protocol of the application, or its fault. One of ours keeps its
// place.
func Serve(version string, p wire.Protocol) (*Served, error) {
	switch {
	case p == nil:
		return nil, errors.New("it is nil")
	case !reflect.ValueOf(p).Comparable():
		return nil, fmt.Errorf("a %T cannot be compared: give a pointer to it", p)
	case !ValidVersion(version, 2):
		return nil, errors.New("the version is not of the form major.minor")
	}
	for _, ours := range phoenix {
		if ours.Protocol == p {
			return &Served{Version: version, index: ours.index, Protocol: p}, nil
		}
	}
	return &Served{Version: version, index: -1, key: p, Protocol: wire.Guard(p)}, nil
}

// ValidVersion reports whether text consists of so many numbers between dots.
func ValidVersion(text string, numbers int) bool {
	parts := strings.Split(text, ".")
	for _, part := range parts {
		if _, err := strconv.ParseUint(part, 10, 31); err != nil || len(part) > 1 && part[0] == '0' {
			return false
		}
	}
	return len(parts) == numbers
}
