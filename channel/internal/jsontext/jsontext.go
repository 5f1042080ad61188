// Package jsontext makes and reads the JSON text of frames: as Phoenix writes it, and
// with fewer allocations than encoding/json where frames are many.
package jsontext

import (
	"bytes"
	"encoding/json"
	"errors"
	"unicode/utf8"
)

// Marshal is json.Marshal without the escapes for HTML: it makes the text that
// Phoenix would send.
func Marshal(v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}

// AppendString appends a JSON string. Most are plain ASCII and need no encoder.
func AppendString(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= utf8.RuneSelf || c == '"' || c == '\\' {
			text, _ := Marshal(s) // a string always marshals
			return append(b, text...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

// Plain reports whether a JSON string is what stands between its quotes, in ASCII.
func Plain(text json.RawMessage) bool {
	for _, c := range text[1 : len(text)-1] {
		if c == '\\' || c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// String reads a JSON string; null, which encoding/json would let pass, is none.
func String(text json.RawMessage) (string, error) {
	if len(text) == 0 || text[0] != '"' {
		return "", errors.New("not a string")
	}
	if Plain(text) {
		return string(text[1 : len(text)-1]), nil
	}
	var s string
	err := json.Unmarshal(text, &s)
	return s, err
}

// Elements cuts a JSON array into its elements, fills parts with the first of
// them, and returns how many there are. encoding/json would do it with an
// allocation and a second look for each.
func Elements(text []byte, parts []json.RawMessage) (n int, err error) {
	array := bytes.TrimLeft(text, " \t\r\n")
	if !json.Valid(array) || array[0] != '[' {
		var list []json.RawMessage
		return 0, json.Unmarshal(text, &list) // it knows why; null is an empty list
	}
	depth, begin, inside := 0, 1, false // inside a string
	for i := 0; i < len(array); i++ {
		c := array[i]
		switch {
		case inside:
			if c == '\\' {
				i++
			}
			inside = c != '"'
			continue
		case c == '"':
			inside = true
			continue
		case c == '[', c == '{':
			depth++
			continue
		case c == ']', c == '}':
			depth--
		}
		if depth > 1 || depth == 1 && c != ',' {
			continue
		}
		if part := bytes.Trim(array[begin:i], " \t\r\n"); len(part) > 0 { // else the array is empty
			if n < len(parts) {
				parts[n] = part
			}
			n++
		}
		if depth == 0 {
			break // only space follows
		}
		begin = i + 1
	}
	return n, nil
}
