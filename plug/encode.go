package plug

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"math/big"
	"slices"
	"unicode/utf8"
)

// EncodeTerm returns the external form of a value; see [Atom]. It is byte for byte that
// of OTP 25, which every later release reads, except for maps of more than 32 keys,
// whose order in OTP is internal. It fails with ErrTerm.
func EncodeTerm(v any) ([]byte, error) { return appendTerm([]byte{termVersion}, v, 0) }

func appendTerm(b []byte, v any, depth int) ([]byte, error) {
	if depth > maxDepth { // also the end of a value that contains itself
		return nil, fmt.Errorf("%w: nested deeper than %d", ErrTerm, maxDepth)
	}
	switch v := v.(type) {
	case nil:
		return appendAtom(b, "nil")
	case bool:
		return appendAtom(b, fmt.Sprint(v))
	case Atom:
		return appendAtom(b, string(v))
	case string:
		return append(append32(append(b, tagBinary), len(v)), v...), nil
	case []byte:
		return append(append32(append(b, tagBinary), len(v)), v...), nil
	case float32:
		return appendFloat(b, float64(v))
	case float64:
		return appendFloat(b, v)
	case []any:
		return appendList(b, v, depth)
	case []string:
		return appendList(b, anys(v), depth)
	case []int:
		return appendList(b, anys(v), depth)
	case Tuple:
		if len(v) <= math.MaxUint8 {
			b = append(b, tagSmallTuple, byte(len(v)))
		} else {
			b = append32(append(b, tagLargeTuple), len(v))
		}
		return appendTerms(b, v, depth)
	case map[any]any:
		return appendMap(b, v, depth)
	case map[string]any:
		return appendMap(b, keyed(v), depth)
	case map[Atom]any:
		return appendMap(b, keyed(v), depth)
	}
	if i := bigOf(v); i != nil {
		return appendInteger(b, i), nil
	}
	return nil, fmt.Errorf("%w: %T", ErrTerm, v)
}

func anys[T any](list []T) []any {
	out := make([]any, len(list))
	for i, v := range list {
		out[i] = v
	}
	return out
}

func keyed[K comparable](m map[K]any) map[any]any {
	out := make(map[any]any, len(m))
	for k, v := range m {
		out[k] = v
	}
	return out
}

func append32(b []byte, n int) []byte { return binary.BigEndian.AppendUint32(b, uint32(n)) }

// bigOf returns a value of any integer type as a *big.Int, and nil for other types.
func bigOf(v any) *big.Int {
	switch v := v.(type) {
	case int:
		return big.NewInt(int64(v))
	case int8:
		return big.NewInt(int64(v))
	case int16:
		return big.NewInt(int64(v))
	case int32:
		return big.NewInt(int64(v))
	case int64:
		return big.NewInt(v)
	case uint:
		return new(big.Int).SetUint64(uint64(v))
	case uint8:
		return big.NewInt(int64(v))
	case uint16:
		return big.NewInt(int64(v))
	case uint32:
		return big.NewInt(int64(v))
	case uint64:
		return new(big.Int).SetUint64(v)
	case *big.Int:
		return v
	}
	return nil
}

func appendInteger(b []byte, v *big.Int) []byte {
	if v.IsInt64() {
		switch n := v.Int64(); {
		case n >= 0 && n <= math.MaxUint8:
			return append(b, tagSmallInteger, byte(n))
		case n >= math.MinInt32 && n <= math.MaxInt32:
			return binary.BigEndian.AppendUint32(append(b, tagInteger), uint32(n))
		}
	}
	digits := v.Bytes()
	slices.Reverse(digits)
	if len(digits) <= math.MaxUint8 {
		b = append(b, tagSmallBig, byte(len(digits)))
	} else {
		b = append32(append(b, tagLargeBig), len(digits))
	}
	sign := byte(0)
	if v.Sign() < 0 {
		sign = 1
	}
	return append(append(b, sign), digits...)
}

func appendFloat(b []byte, f float64) ([]byte, error) {
	if !finite(f) {
		return nil, fmt.Errorf("%w: the float %v", ErrTerm, f)
	}
	return binary.BigEndian.AppendUint64(append(b, tagNewFloat), math.Float64bits(f)), nil
}

func appendAtom(b []byte, name string) ([]byte, error) {
	if !utf8.ValidString(name) || utf8.RuneCountInString(name) > maxAtom {
		return nil, fmt.Errorf("%w: an atom that is over %d characters or not UTF-8", ErrTerm, maxAtom)
	}
	latin1 := make([]byte, 0, len(name))
	for _, r := range name {
		if r > math.MaxUint8 {
			if len(name) <= math.MaxUint8 {
				return append(append(b, tagSmallAtomUTF8, byte(len(name))), name...), nil
			}
			return append(binary.BigEndian.AppendUint16(append(b, tagAtomUTF8), uint16(len(name))), name...), nil
		}
		latin1 = append(latin1, byte(r))
	}
	return append(binary.BigEndian.AppendUint16(append(b, tagAtom), uint16(len(latin1))), latin1...), nil
}

func appendTerms(b []byte, terms []any, depth int) (_ []byte, err error) {
	for _, term := range terms {
		if b, err = appendTerm(b, term, depth+1); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// appendList appends a list. A list of bytes has a form of its own.
func appendList(b []byte, list []any, depth int) ([]byte, error) {
	if len(list) == 0 {
		return append(b, tagNil), nil
	}
	if text, ok := byteList(list); ok {
		return append(binary.BigEndian.AppendUint16(append(b, tagString), uint16(len(text))), text...), nil
	}
	b, err := appendTerms(append32(append(b, tagList), len(list)), list, depth)
	return append(b, tagNil), err
}

func byteList(list []any) ([]byte, bool) {
	if len(list) > math.MaxUint16 {
		return nil, false
	}
	text := make([]byte, len(list))
	for i, v := range list {
		n := bigOf(v)
		if n == nil || !n.IsUint64() || n.Uint64() > math.MaxUint8 {
			return nil, false
		}
		text[i] = byte(n.Uint64())
	}
	return text, true
}

// appendMap appends a map in the order of its keys, in which OTP keeps small maps.
func appendMap(b []byte, m map[any]any, depth int) ([]byte, error) {
	values := make(map[any]any, len(m))
	for key, v := range m {
		if i := bigOf(key); i != nil {
			key = integer(i)
		}
		if f, ok := key.(float32); ok {
			key = float64(f)
		}
		if f, ok := key.(float64); !isKey(key) || ok && !finite(f) {
			return nil, fmt.Errorf("%w: a map's key of type %T", ErrTerm, key)
		}
		if a, ok := key.(Atom); ok {
			key = atomTerm(string(a))
		}
		if _, twice := values[key]; twice {
			return nil, fmt.Errorf("%w: a map with the key %v twice", ErrTerm, key)
		}
		values[key] = v
	}
	b = append32(append(b, tagMap), len(values))
	for _, key := range slices.SortedFunc(maps.Keys(values), compareKeys) {
		var err error
		if b, err = appendTerms(b, []any{key, values[key]}, depth); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// compareKeys is the order of keys in a map: integers, floats, atoms, binaries.
func compareKeys(a, b any) int {
	rank := func(key any) (rank int, i int64, f float64, text string) {
		switch key := key.(type) {
		case int64:
			return 0, key, 0, ""
		case float64:
			return 1, 0, key, ""
		case nil:
			return 2, 0, 0, "nil"
		case bool:
			return 2, 0, 0, fmt.Sprint(key)
		case Atom:
			return 2, 0, 0, string(key)
		}
		return 3, 0, 0, key.(string)
	}
	ra, ia, fa, ta := rank(a)
	rb, ib, fb, tb := rank(b)
	return cmp.Or(cmp.Compare(ra, rb), cmp.Compare(ia, ib), cmp.Compare(fa, fb), cmp.Compare(ta, tb))
}
