package channel

import (
	"errors"
	"fmt"
	"reflect"
	"unicode/utf8"
)

// A Serializer turns messages into frames and frames into messages, for one
// version of the protocol. Both methods are called concurrently.
type Serializer interface {
	// Decode reads a frame of a client. The text of a text frame has been
	// checked to be UTF-8. It must not keep data, and must not panic whatever
	// data is. An error closes the connection with 1011.
	Decode(binary bool, data []byte) (Message, error)
	// Encode makes the frame of a message to a client. A broadcast, which is the
	// same for all clients, is encoded once for all of them.
	Encode(m Message) (*Frame, error)
}

// V1 is the serializer of versions "~> 1.0.0", for one of the application's to
// build on.
func V1() Serializer { return v1{} }

// V2 is the serializer of versions "~> 2.0.0".
func V2() Serializer { return v2{} }

// A ServedVersion is a serializer of the application and the versions of the
// protocol that it serves (row B043). Faults of a serializer, panics among them,
// end the connection they came up in (Decode), or keep one message from the
// clients that it serves (Encode). It may make text frames or binary ones; long
// polling carries no binary ones to clients.
type ServedVersion struct {
	// Requirement says which versions, as Elixir does: "~> 2.1" is 2.1.0 and
	// above, below 3.0.0; "~> 2.1.0" ends below 2.2.0; ">= 3.0.0 and < 5.0.0",
	// "== 1.0.0 or == 1.5.0". A client's vsn is of the form x.y.z.
	Requirement string
	// Serializer must be comparable, as a pointer is: clients of all handlers
	// that name an equal one are sent the same frame of a broadcast.
	Serializer Serializer
}

// A dialect is a serializer with the versions it serves, and where a broadcast
// keeps its frame.
type dialect struct {
	name     string
	versions requirement
	index    int        // of ours in dispatch.frames; -1: under key
	key      Serializer // what the application gave
	Serializer
}

func (d *dialect) String() string { return d.name }

// numDialects is how many serializers are spoken here without an application's.
const numDialects = 2

var dialects = [numDialects]*dialect{
	{name: "2.0", versions: requirement{{{op: "~>", v: version{2}, below: version{2, 1}}}}, index: 0, Serializer: v2{}},
	{name: "1.0", versions: requirement{{{op: "~>", v: version{1}, below: version{1, 1}}}}, index: 1, Serializer: v1{}},
}

// newDialect checks a serializer of the application. One of ours keeps its
// place.
func newDialect(s ServedVersion) (*dialect, error) {
	versions, err := parseRequirement(s.Requirement)
	switch {
	case err != nil:
		return nil, err
	case s.Serializer == nil:
		return nil, errors.New("Serializer is nil")
	case !reflect.ValueOf(s.Serializer).Comparable():
		return nil, fmt.Errorf("a %T cannot be compared: give a pointer to it", s.Serializer)
	}
	d := &dialect{name: s.Requirement, versions: versions, index: -1, key: s.Serializer, Serializer: guarded{s.Serializer}}
	for _, ours := range dialects {
		if ours.Serializer == s.Serializer {
			d.index, d.key, d.Serializer = ours.index, nil, ours.Serializer
		}
	}
	return d, nil
}

// defaultVsn is what a client without vsn speaks.
const defaultVsn = "1.0.0"

// negotiate finds the serializer of a version, of the application's first, then
// of ours (rows B004, B005).
func negotiate(own []*dialect, vsn string) (*dialect, error) {
	v, err := parseVersion(vsn)
	if err != nil {
		return nil, fmt.Errorf("%w: %q: %w", ErrVersion, vsn, err)
	}
	for _, list := range [][]*dialect{own, dialects[:]} {
		for _, d := range list {
			if d.versions.allows(v) {
				return d, nil
			}
		}
	}
	return nil, fmt.Errorf("%w: %q", ErrVersion, vsn)
}

// guarded is a serializer of the application, held to its contract.
type guarded struct{ Serializer }

func (g guarded) Decode(binary bool, data []byte) (m Message, err error) {
	defer contain("Decode", &err)
	if m, err = g.Serializer.Decode(binary, data); err != nil {
		return Message{}, err
	}
	if !utf8.ValidString(m.Topic) || !utf8.ValidString(m.Event) {
		return Message{}, errors.New("a name is not UTF-8")
	}
	m.Kind = KindPush
	return m, nil
}

func (g guarded) Encode(m Message) (f *Frame, err error) {
	defer contain("Encode", &err)
	switch f, err = g.Serializer.Encode(m); {
	case err != nil:
		return nil, err
	case f == nil:
		return nil, errors.New("the serializer made no frame")
	case !f.Binary && !utf8.Valid(f.Data):
		return nil, errors.New("the serializer made a text frame that is not UTF-8")
	}
	// Not the serializer's own, which it may give to others too.
	return &Frame{Binary: f.Binary, Data: f.Data, Shared: m.Kind == KindBroadcast}, nil
}

// contain makes an error of a panic of the application's serializer.
func contain(doing string, err *error) {
	if v := recover(); v != nil {
		*err = fmt.Errorf("panic of the serializer in %s: %v", doing, v)
	}
}
