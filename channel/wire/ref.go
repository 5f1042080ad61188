package wire

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/rollcall-go/rollcall/channel/internal/jsontext"
)

// A Ref is a ref or join_ref of a message: a string, a number or null, chosen
// by the client and opaque to us. It is sent back as it came. The zero Ref is
// null. Refs are comparable with ==; "1" and 1 are different refs.
type Ref struct {
	// text is the ref's JSON text, canonical for strings; empty is null.
	text string
}

// StringRef is the ref that is the string s.
func StringRef(s string) Ref {
	text, _ := jsontext.Marshal(s) // a string always marshals
	return Ref{text: string(text)}
}

// ParseRef reads a ref from JSON text; the text is not kept. Neither string, number nor
// null is an error.
func ParseRef(text json.RawMessage) (Ref, error) {
	switch {
	case len(text) == 0:
		return Ref{}, errors.New("ref is missing")
	case string(text) == "null":
		return Ref{}, nil
	case text[0] == '"':
		if jsontext.Plain(text) {
			return Ref{text: string(text)}, nil // canonical as it is
		}
		var s string
		if err := json.Unmarshal(text, &s); err != nil {
			return Ref{}, err
		}
		return StringRef(s), nil
	case text[0] == '-' || text[0] >= '0' && text[0] <= '9':
		return Ref{text: string(text)}, nil
	}
	return Ref{}, fmt.Errorf("ref is %.20s, neither string nor number nor null", text)
}

// MarshalJSON returns the ref as it stands in a text frame.
func (r Ref) MarshalJSON() ([]byte, error) { return r.AppendJSON(nil), nil }

// UnmarshalJSON reads a ref; a value that can be none is an error.
func (r *Ref) UnmarshalJSON(text []byte) (err error) {
	*r, err = ParseRef(text)
	return err
}

// IsNull reports whether the ref is null.
func (r Ref) IsNull() bool { return r.text == "" }

// String returns the string, or the number's text; it is empty for null.
func (r Ref) String() string {
	if r.text == "" || r.text[0] != '"' {
		return r.text
	}
	var s string
	_ = json.Unmarshal([]byte(r.text), &s) // JSON by construction
	return s
}

// AppendJSON appends the ref as it stands in a text frame.
func (r Ref) AppendJSON(b []byte) []byte {
	if r.text == "" {
		return append(b, "null"...)
	}
	return append(b, r.text...)
}

// Len is the number of bytes that AppendJSON appends; 0 for null.
func (r Ref) Len() int { return len(r.text) }
