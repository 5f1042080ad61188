package plug

import (
	"fmt"
	"math/big"
)

// Atom is an Erlang atom other than nil, true and false, of up to 255 characters.
//
// Erlang terms are, in Go:
//
//	Erlang, Elixir          decoded           encoded from
//	integer                 int64, *big.Int   any integer type, *big.Int
//	float                   float64           float32, float64, if finite
//	nil, true, false        nil, bool         nil, bool
//	another atom            Atom              Atom
//	binary, string          string            string, []byte
//	list                    []any             []any, []string, []int
//	tuple                   Tuple             Tuple
//	map                     map[any]any       map[any]any, map[string]any, map[Atom]any
//
// Strings need not be UTF-8. Keys of maps are integers (int64), floats, atoms (nil and
// bool among them) and strings. Terms nest at most 64 deep. All other terms are invalid:
// functions and exports, which are executable; and pids, ports, references, bit strings
// and improper lists, which have no meaning here.
type Atom string

// Tuple is an Erlang tuple.
type Tuple []any

// Limits of a term.
const (
	// maxInflated is the most bytes that a compressed term inflates to.
	maxInflated = 256 << 10
	// maxDepth is how deep a term nests.
	maxDepth = 64
	// maxAtom is the most characters of an atom.
	maxAtom = 255
)

// Tags of the external term format, by their names there.
const (
	termVersion = 131

	tagNewFloat      = 70
	tagCompressed    = 80
	tagSmallInteger  = 97
	tagInteger       = 98
	tagAtom          = 100 // Latin-1; written until OTP 25, and here
	tagSmallTuple    = 104
	tagLargeTuple    = 105
	tagNil           = 106
	tagString        = 107 // a list of bytes
	tagList          = 108
	tagBinary        = 109
	tagSmallBig      = 110
	tagLargeBig      = 111
	tagNewFun        = 112
	tagExport        = 113
	tagSmallAtom     = 115 // Latin-1
	tagMap           = 116
	tagFun           = 117
	tagAtomUTF8      = 118
	tagSmallAtomUTF8 = 119 // written since OTP 26
)

// subjectOf returns the text of a string or an integer, such as a user's id, and "" for
// any other value.
func subjectOf(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case int64, *big.Int:
		return fmt.Sprint(v)
	}
	return ""
}

// atomTerm returns an atom as it is in Go.
func atomTerm(name string) any {
	switch name {
	case "nil":
		return nil
	case "true":
		return true
	case "false":
		return false
	}
	return Atom(name)
}
