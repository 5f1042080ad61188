package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/rollcall-go/rollcall/channel/internal/jsontext"
)

// ErrPayload: a payload is neither a JSON object nor [Binary], or cannot be marshalled.
var ErrPayload = errors.New("channel: payload must be a JSON object or channel.Binary")

// A Payload is what a message carries: a JSON value, or bytes in a binary
// message. It is immutable and may be shared; the zero Payload is {}.
type Payload struct {
	// data is the compact JSON text, or the bytes. Nil means {}.
	data   []byte
	native any
	binary bool
	// metadata is nil in nearly all.
	metadata []byte
}

// Binary is a payload of bytes, for Push, Reply and Broadcast. The bytes must not be
// changed afterwards.
type Binary []byte

var emptyObject = []byte("{}")

// NewPayload makes the payload that carries v, as the functions that take a
// payload do: nil is {}, [Binary] stays binary, a Payload is itself, anything
// else is marshalled at once, so that later changes to v are not seen. It fails
// with ErrPayload when v cannot be marshalled.
func NewPayload(v any) (Payload, error) {
	switch v := v.(type) {
	case nil:
		return Payload{}, nil
	case Payload:
		return v, nil
	case Binary:
		if v == nil {
			v = Binary{}
		}
		return Payload{data: v, binary: true}, nil
	}
	data, err := jsontext.Marshal(v)
	if err != nil {
		return Payload{}, fmt.Errorf("%w: %w", ErrPayload, err)
	}
	return Payload{data: data, native: v}, nil
}

// RawPayload returns the payload of compact JSON text, which must be valid and is not
// copied.
func RawPayload(data []byte) Payload { return Payload{data: data} }

// ObjectPayload is NewPayload for what must be an object or binary: everything
// but the response of a reply.
func ObjectPayload(v any) (Payload, error) {
	p, err := NewPayload(v)
	if err != nil {
		return Payload{}, err
	}
	if !p.binary && p.JSON()[0] != '{' {
		return Payload{}, fmt.Errorf("%w, not %.40s", ErrPayload, p.JSON())
	}
	return p, nil
}

// Decode unmarshals the JSON value into v. It gives the same on every replica.
// A binary payload decodes into a *[]byte only.
func (p Payload) Decode(v any) error {
	if !p.binary {
		return json.Unmarshal(p.JSON(), v)
	}
	b, ok := v.(*[]byte)
	if !ok {
		return fmt.Errorf("%w: binary payload decoded into %T", ErrPayload, v)
	}
	*b = bytes.Clone(p.data)
	return nil
}

// Value is the value that was broadcast where that was on this replica (it is
// shared: do not change it), else the JSON value as encoding/json decodes it
// into an any, or the bytes of a binary payload.
func (p Payload) Value() any {
	switch {
	case p.binary:
		return Binary(p.data)
	case p.native != nil:
		return p.native
	}
	var v any
	if json.Unmarshal(p.JSON(), &v) != nil {
		return nil
	}
	return v
}

// IsBinary reports whether the payload came, or goes, in a binary message.
func (p Payload) IsBinary() bool { return p.binary }

// Bytes is the content of a binary payload, or the JSON text. It must not be
// changed.
func (p Payload) Bytes() []byte {
	if p.data == nil {
		return emptyObject
	}
	return p.data
}

// JSON is the JSON text, nil for a binary payload. It must not be changed.
func (p Payload) JSON() json.RawMessage {
	if p.binary {
		return nil
	}
	return p.Bytes()
}

// MarshalJSON makes a payload usable inside of another one. A binary payload
// has no JSON form.
func (p Payload) MarshalJSON() ([]byte, error) {
	if p.binary {
		return nil, fmt.Errorf("%w: a binary payload inside of JSON", ErrPayload)
	}
	return p.Bytes(), nil
}

// UnmarshalJSON makes a payload of a JSON value; null, which some clients send for want
// of anything, is {}. text is not kept, and must be valid, as encoding/json sees to.
func (p *Payload) UnmarshalJSON(text []byte) error {
	*p = Payload{}
	if string(text) == "null" {
		return nil
	}
	var buf bytes.Buffer
	buf.Grow(len(text))
	if err := json.Compact(&buf, text); err != nil {
		return err
	}
	p.data = buf.Bytes()
	return nil
}

// Metadata returns what the payload carries beside its content for protocols that have
// a place for it, or nil. It must not be changed.
func (p Payload) Metadata() []byte { return p.metadata }

// WithMetadata returns the payload with metadata, which must not be changed afterwards
// and has at most 64 KiB. It reaches the clients whose protocol carries it, on all
// replicas; Phoenix's versions do not.
func (p Payload) WithMetadata(metadata []byte) Payload {
	p.metadata = metadata
	return p
}
