package plug

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/big"
	"slices"
	"unicode/utf8"
)

var errTruncated = errors.New("the term is cut off")

// DecodeTerm decodes a term in the external term format; see [Atom]. It fails with
// ErrInvalid. data may come from anywhere: DecodeTerm allocates at most a small multiple
// of its size, or of the 256 KiB that a compressed term may inflate to.
func DecodeTerm(data []byte) (any, error) {
	term, err := decodeTerm(data)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return term, nil
}

// decodeTerm is DecodeTerm whose error is the reason alone.
func decodeTerm(data []byte) (any, error) {
	if len(data) < 2 || data[0] != termVersion {
		return nil, errors.New("not a term")
	}
	d := decoder{data[1:]}
	if d.data[0] == tagCompressed {
		inflated, err := inflate(d.data[1:])
		if err != nil {
			return nil, err
		}
		d.data = inflated
	}
	term, err := d.term(0)
	if err != nil {
		return nil, err
	}
	if len(d.data) > 0 {
		return nil, fmt.Errorf("%d bytes after the term", len(d.data))
	}
	return term, nil
}

// inflate decompresses a term: its size, then zlib.
func inflate(data []byte) ([]byte, error) {
	if len(data) < 4 {
		return nil, errTruncated
	}
	size := binary.BigEndian.Uint32(data)
	if size > maxInflated {
		return nil, fmt.Errorf("a compressed term of %d bytes, at most %d", size, maxInflated)
	}
	packed := bytes.NewReader(data[4:])
	z, err := zlib.NewReader(packed)
	if err != nil {
		return nil, err
	}
	inflated, err := io.ReadAll(io.LimitReader(z, int64(size)+1))
	switch {
	case err != nil:
		return nil, err
	case len(inflated) != int(size):
		return nil, fmt.Errorf("a compressed term of another size than the %d bytes it names", size)
	case packed.Len() > 0:
		return nil, fmt.Errorf("%d bytes after the compressed term", packed.Len())
	}
	return inflated, nil
}

// decoder holds the bytes that are not decoded yet.
type decoder struct{ data []byte }

func (d *decoder) bytes(n uint64) ([]byte, error) {
	if n > uint64(len(d.data)) {
		return nil, errTruncated
	}
	b := d.data[:n:n]
	d.data = d.data[n:]
	return b, nil
}

// number reads an unsigned number of size bytes, 1 to 4.
func (d *decoder) number(size uint64) (uint64, error) {
	b, err := d.bytes(size)
	var n uint64
	for _, digit := range b {
		n = n<<8 | uint64(digit)
	}
	return n, err
}

// counted reads bytes that follow their number, which has size bytes.
func (d *decoder) counted(size uint64) ([]byte, error) {
	n, err := d.number(size)
	if err != nil {
		return nil, err
	}
	return d.bytes(n)
}

func (d *decoder) term(depth int) (any, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("nested deeper than %d", maxDepth)
	}
	tag, err := d.number(1)
	if err != nil {
		return nil, err
	}
	switch tag {
	case tagSmallInteger:
		n, err := d.number(1)
		return int64(n), err
	case tagInteger:
		n, err := d.number(4)
		return int64(int32(n)), err
	case tagSmallBig:
		return d.big(1)
	case tagLargeBig:
		return d.big(4)
	case tagNewFloat:
		return d.float()
	case tagAtom:
		return d.latin1Atom(2)
	case tagSmallAtom:
		return d.latin1Atom(1)
	case tagAtomUTF8:
		return d.utf8Atom(2)
	case tagSmallAtomUTF8:
		return d.utf8Atom(1)
	case tagBinary:
		b, err := d.counted(4)
		return string(b), err
	case tagNil:
		return []any{}, nil
	case tagString:
		b, err := d.counted(2)
		list := make([]any, len(b))
		for i, n := range b {
			list[i] = int64(n)
		}
		return list, err
	case tagList:
		return d.list(depth)
	case tagSmallTuple:
		return d.tuple(1, depth)
	case tagLargeTuple:
		return d.tuple(4, depth)
	case tagMap:
		return d.mapping(depth)
	case tagFun, tagNewFun, tagExport:
		return nil, fmt.Errorf("an executable term, tag %d", tag)
	}
	return nil, fmt.Errorf("a term of unknown kind, tag %d", tag)
}

func (d *decoder) big(size uint64) (any, error) {
	n, err := d.number(size)
	if err != nil {
		return nil, err
	}
	sign, err := d.number(1)
	if err != nil {
		return nil, err
	}
	little, err := d.bytes(n)
	if err != nil {
		return nil, err
	}
	if sign > 1 {
		return nil, errors.New("an integer with a strange sign")
	}
	digits := slices.Clone(little)
	slices.Reverse(digits)
	v := new(big.Int).SetBytes(digits)
	if sign == 1 {
		v.Neg(v)
	}
	return integer(v), nil
}

// integer returns an int64 if the value fits.
func integer(v *big.Int) any {
	if v.IsInt64() {
		return v.Int64()
	}
	return v
}

func (d *decoder) float() (any, error) {
	b, err := d.bytes(8)
	if err != nil {
		return nil, err
	}
	f := math.Float64frombits(binary.BigEndian.Uint64(b))
	if !finite(f) {
		return nil, errors.New("a float that is no number")
	}
	return f, nil
}

func finite(f float64) bool { return !math.IsNaN(f) && !math.IsInf(f, 0) }

func (d *decoder) latin1Atom(size uint64) (any, error) {
	b, err := d.counted(size)
	if err != nil {
		return nil, err
	}
	runes := make([]rune, len(b))
	for i, c := range b {
		runes[i] = rune(c)
	}
	return checkedAtom(string(runes))
}

func (d *decoder) utf8Atom(size uint64) (any, error) {
	b, err := d.counted(size)
	if err != nil {
		return nil, err
	}
	return checkedAtom(string(b))
}

func checkedAtom(name string) (any, error) {
	if !utf8.ValidString(name) || utf8.RuneCountInString(name) > maxAtom {
		return nil, errors.New("an atom that is too long or not UTF-8")
	}
	return atomTerm(name), nil
}

// terms reads n terms. The slice grows with the terms that are there, not with n.
func (d *decoder) terms(n uint64, depth int) ([]any, error) {
	if n > uint64(len(d.data)) { // a term has at least one byte
		return nil, errTruncated
	}
	terms := []any{}
	for range n {
		term, err := d.term(depth + 1)
		if err != nil {
			return nil, err
		}
		terms = append(terms, term)
	}
	return terms, nil
}

func (d *decoder) list(depth int) (any, error) {
	n, err := d.number(4)
	if err != nil {
		return nil, err
	}
	terms, err := d.terms(n, depth)
	if err != nil {
		return nil, err
	}
	if tail, err := d.number(1); err != nil || tail != tagNil {
		return nil, errors.New("an improper list")
	}
	return terms, nil
}

func (d *decoder) tuple(size uint64, depth int) (any, error) {
	n, err := d.number(size)
	if err != nil {
		return nil, err
	}
	terms, err := d.terms(n, depth)
	if err != nil {
		return nil, err
	}
	return Tuple(terms), nil
}

func (d *decoder) mapping(depth int) (any, error) {
	n, err := d.number(4)
	if err != nil {
		return nil, err
	}
	if n > uint64(len(d.data))/2 {
		return nil, errTruncated
	}
	m := map[any]any{}
	for range n {
		key, err := d.term(depth + 1)
		if err != nil {
			return nil, err
		}
		if !isKey(key) {
			return nil, fmt.Errorf("a map with a key of type %T", key)
		}
		if _, twice := m[key]; twice {
			return nil, errors.New("a map with a key twice")
		}
		if m[key], err = d.term(depth + 1); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// isKey reports whether a decoded term may be a key: it must be comparable in Go.
func isKey(term any) bool {
	switch term.(type) {
	case nil, bool, int64, float64, Atom, string:
		return true
	}
	return false
}
