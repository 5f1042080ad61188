package channel

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// A Payload is what a message carries: a JSON value, or bytes in a binary
// message. It is immutable and may be shared; the zero Payload is {}.
type Payload struct {
	// data is the compact JSON text, or the bytes. Nil means {}.
	data   []byte
	native any
	binary bool
}

// BinaryData is what [Binary] makes.
type BinaryData []byte

// Binary makes a payload of bytes, for Push, Reply and Broadcast. The bytes
// must not be changed afterwards.
func Binary(b []byte) any { return BinaryData(b) }

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
	case BinaryData:
		if v == nil {
			v = BinaryData{}
		}
		return Payload{data: v, binary: true}, nil
	}
	data, err := marshal(v)
	if err != nil {
		return Payload{}, fmt.Errorf("%w: %w", ErrPayload, err)
	}
	return Payload{data: data, native: v}, nil
}

// rawPayload is the payload of text that is known to be valid JSON.
func rawPayload(data []byte) Payload { return Payload{data: data} }

// objectPayload is NewPayload for what must be an object or binary: everything
// but the response of a reply.
func objectPayload(v any) (Payload, error) {
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
		return BinaryData(p.data)
	case p.native != nil:
		return p.native
	}
	var v any
	if json.Unmarshal(p.JSON(), &v) != nil {
		return nil
	}
	return v
}

// IsBinary tells whether the payload came, or goes, in a binary message.
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

// UnmarshalJSON makes a payload of a JSON value; null is {}. text is not kept.
func (p *Payload) UnmarshalJSON(text []byte) error {
	*p = textPayload(text)
	return nil
}

// marshal is json.Marshal without the escapes for HTML: what goes out is what
// Phoenix would send.
func marshal(v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}
