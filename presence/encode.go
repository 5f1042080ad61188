package presence

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/rollcall-go/rollcall/presence/internal/replica"
)

// encodeMeta turns what a caller gave as a meta into the bytes of a JSON object.
func encodeMeta(meta any, limit int) ([]byte, error) {
	if hidden, ok := meta.(Hidden); ok {
		data, err := encodeMeta(hidden.Meta, limit)
		if err != nil || replica.Hidden(data) {
			return data, err
		}
		if data = hide(data); len(data) > limit {
			return nil, fmt.Errorf("%w: %d bytes with %s, the limit is %d", ErrMetaTooLarge, len(data), replica.HiddenMember, limit)
		}
		return data, nil
	}
	if meta == nil {
		return []byte("{}"), nil
	}
	data, err := json.Marshal(meta)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMetaNotObject, err)
	}
	if string(data) == "null" {
		return []byte("{}"), nil
	}
	if data[0] != '{' {
		return nil, fmt.Errorf("%w: have %.40s", ErrMetaNotObject, data)
	}
	data, err = stripRefs(data)
	if err != nil {
		return nil, err
	}
	if len(data) > limit {
		return nil, fmt.Errorf("%w: %d bytes, the limit is %d", ErrMetaTooLarge, len(data), limit)
	}
	return slices.Clip(data), nil
}

// stripRefs removes phx_ref, phx_ref_prev and phx_hidden, which are ours to set:
// a meta that a caller got and sends back must not end up with two of them, and a
// client whose meta is passed on must neither hide nor take another one's ref. Their names may be written with escapes.
func stripRefs(data []byte) ([]byte, error) {
	if !bytes.Contains(data, []byte(`"phx_ref`)) && !bytes.Contains(data, []byte(`"phx_hidden`)) && !bytes.Contains(data, []byte(`\u00`)) {
		return data, nil
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(data, &fields); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMetaNotObject, err)
	}
	delete(fields, "phx_ref")
	delete(fields, "phx_ref_prev")
	delete(fields, "phx_hidden")
	return json.Marshal(fields)
}

// MarshalJSON gives the object with phx_ref, and phx_ref_prev after an update,
// as its first members: what clients get.
func (m Meta) MarshalJSON() ([]byte, error) {
	return m.appendJSON(make([]byte, 0, len(m.Data)+64)), nil
}

func (m Meta) appendJSON(b []byte) []byte {
	b = append(b, `{"phx_ref":"`...)
	b = append(b, m.Ref...)
	if m.PrevRef != "" {
		b = append(b, `","phx_ref_prev":"`...)
		b = append(b, m.PrevRef...)
	}
	b = append(b, '"')
	if rest := m.Data[1:]; len(m.Data) > 2 {
		b = append(b, ',')
		return append(b, rest...)
	}
	return append(b, '}')
}

func appendPresences(b []byte, list []Presence) []byte {
	b = append(b, '{')
	for i, p := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = p.appendMember(b)
	}
	return append(b, '}')
}

// appendMember appends the key, and what stands under it.
func (p Presence) appendMember(b []byte) []byte {
	b = appendString(b, p.Key)
	b = append(b, ':')
	return p.appendJSON(b)
}

// MarshalJSON gives what stands under the key in what clients get.
func (p Presence) MarshalJSON() ([]byte, error) { return p.appendJSON(nil), nil }

func (p Presence) appendJSON(b []byte) []byte {
	b = append(b, `{"metas":[`...)
	for i, m := range p.Metas {
		if i > 0 {
			b = append(b, ',')
		}
		b = m.appendJSON(b)
	}
	b = append(b, ']')
	if len(p.Fields) > 0 {
		b = p.appendFields(b)
	}
	return append(b, '}')
}

// appendFields appends the fields; one without a JSON form is null.
func (p Presence) appendFields(b []byte) []byte {
	for _, name := range slices.Sorted(maps.Keys(p.Fields)) {
		value, err := json.Marshal(p.Fields[name])
		if err != nil {
			value = []byte("null")
		}
		b = append(b, ',')
		b = appendString(b, name)
		b = append(b, ':')
		b = append(b, value...)
	}
	return b
}

// appendString appends s as a JSON string; most keys need no escapes.
func appendString(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c > '~' || c == '<' || c == '>' || c == '&' {
			quoted, _ := json.Marshal(s) // a string cannot fail
			return append(b, quoted...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

// JSON is the diff as clients get it in presence_diff.
func (d Diff) JSON() []byte {
	b := append([]byte(nil), `{"joins":`...)
	b = appendPresences(b, d.Joins)
	b = append(b, `,"leaves":`...)
	b = appendPresences(b, d.Leaves)
	return append(b, '}')
}
