package plug

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"encoding/hex"
	"math"
	"math/big"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func unhex(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	require.NoError(t, err)
	return b
}

func power(n uint) *big.Int { return new(big.Int).Lsh(big.NewInt(1), n) }

// row B120
func TestTermsHaveTheFormOfTheReference(t *testing.T) {
	for _, c := range []struct {
		name    string
		v       any
		want    string
		decoded any // nil: v
	}{
		{name: "0", v: 0, want: "61 00", decoded: int64(0)},
		{name: "255", v: uint8(255), want: "61 ff", decoded: int64(255)},
		{name: "256", v: int64(256), want: "62 00000100"},
		{name: "-1", v: int64(-1), want: "62 ffffffff"},
		{name: "largest int32", v: int64(math.MaxInt32), want: "62 7fffffff"},
		{name: "smallest int32", v: int64(math.MinInt32), want: "62 80000000"},
		{name: "above int32", v: int64(math.MaxInt32 + 1), want: "6e 04 00 00000080"},
		{name: "below int32", v: int64(math.MinInt32 - 1), want: "6e 04 01 01000080"},
		{name: "smallest int64", v: int64(math.MinInt64), want: "6e 08 01 0000000000000080"},
		{name: "above int64", v: uint64(1 << 63), want: "6e 08 00 0000000000000080", decoded: power(63)},
		{name: "a big integer", v: power(64), want: "6e 09 00 000000000000000001"},
		{name: "a very big integer", v: power(2040), want: "6f 00000100 00 " + strings.Repeat("00", 255) + "01"},
		{name: "1.5", v: 1.5, want: "46 3ff8000000000000"},
		{name: "float32", v: float32(1.5), want: "46 3ff8000000000000", decoded: 1.5},
		{name: "true", v: true, want: "64 0004 74727565"},
		{name: "false", v: false, want: "64 0005 66616c7365"},
		{name: "an atom", v: Atom("ok"), want: "64 0002 6f6b"},
		{name: "a Latin-1 atom", v: Atom("é"), want: "64 0001 e9"},
		{name: "an atom of more than Latin-1", v: Atom("Ω"), want: "77 02 cea9"},
		{name: "a long atom of more than Latin-1", v: Atom(strings.Repeat("Ω", 200)), want: "76 0190 " + strings.Repeat("cea9", 200)},
		{name: "a binary", v: "hi", want: "6d 00000002 6869"},
		{name: "bytes", v: []byte("hi"), want: "6d 00000002 6869", decoded: "hi"},
		{name: "no elements", v: []any{}, want: "6a"},
		{name: "bytes in a list", v: []any{int64(1), int64(255)}, want: "6b 0002 01ff"},
		{name: "more than bytes in a list", v: []int{1, 256}, want: "6c 00000002 6101 6200000100 6a", decoded: []any{int64(1), int64(256)}},
		{name: "strings in a list", v: []string{"a"}, want: "6c 00000001 6d0000000161 6a", decoded: []any{"a"}},
		{name: "a tuple", v: Tuple{}, want: "68 00"},
		{name: "a large tuple", v: make(Tuple, 256), want: "69 00000100 " + strings.Repeat("64 0003 6e696c", 256)},
		{name: "keys of a map in order", v: map[any]any{"a": int64(1), Atom("b"): int64(2), true: int64(3), 1.0: int64(4), int64(2): int64(5), nil: int64(6), "B": int64(7)},
			want: "74 00000007 6102 6105 463ff0000000000000 6104 64000162 6102 6400036e696c 6106 64000474727565 6103 6d0000000142 6107 6d0000000161 6101"},
	} {
		t.Run(c.name, func(t *testing.T) {
			want := unhex(t, "83"+c.want)
			got, err := EncodeTerm(c.v)
			require.NoError(t, err)
			require.Equal(t, hex.EncodeToString(want), hex.EncodeToString(got))
			if c.decoded == nil {
				c.decoded = c.v
			}
			back, err := decodeTerm(got)
			require.NoError(t, err)
			require.Equal(t, c.decoded, back)
		})
	}
}

// compressed is a term as term_to_binary(..., [compressed]) makes it; size is
// what it says of itself.
func compressed(t testing.TB, term []byte, size int) []byte {
	var buf bytes.Buffer
	z := zlib.NewWriter(&buf)
	_, err := z.Write(term)
	require.NoError(t, err)
	require.NoError(t, z.Close())
	head := binary.BigEndian.AppendUint32([]byte{termVersion, tagCompressed}, uint32(size))
	return append(head, buf.Bytes()...)
}

// row B120
func TestCompressedTermsAreReadWithinBounds(t *testing.T) {
	text := strings.Repeat("a", 10_000)
	term, err := EncodeTerm(text)
	require.NoError(t, err)
	got, err := decodeTerm(compressed(t, term[1:], len(term)-1))
	require.NoError(t, err)
	require.Equal(t, text, got)

	bomb := make([]byte, 4<<20)
	good := compressed(t, term[1:], len(term)-1)
	for name, data := range map[string][]byte{
		"says that it is too large":       compressed(t, bomb, len(bomb)),
		"is larger than it says":          compressed(t, bomb, 1000),
		"is smaller than it says":         compressed(t, term[1:], len(term)),
		"is cut off":                      good[:len(good)-6],
		"has a wrong checksum":            append(good[:len(good)-1:len(good)-1], good[len(good)-1]+1),
		"has something behind it":         append(good[:len(good):len(good)], 0),
		"is no zlib":                      {termVersion, tagCompressed, 0, 0, 0, 2, 97, 1},
		"has no size":                     {termVersion, tagCompressed, 0},
		"is compressed twice":             compressed(t, good[1:], len(good)-1),
		"compresses the version, as none": compressed(t, term, len(term)),
	} {
		_, err := decodeTerm(data)
		require.Error(t, err, name)
	}
	data := compressed(t, bomb, 1000)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err = decodeTerm(data)
	runtime.ReadMemStats(&after)
	require.Error(t, err)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<20), "a bomb is not inflated")
}

// row B120
func TestTermsThatAreRefused(t *testing.T) {
	nested := func(n int) string { return strings.Repeat("6801", n) + "6101" }
	for name, c := range map[string]struct{ term, want string }{
		"a function":                {"75 00000000", "executable"},
		"a new function":            {"70 00000004", "executable"},
		"an export":                 {"71 640001 61 640001 62 6101", "executable"},
		"a function in a list":      {"6c 00000001 70 6a", "executable"},
		"a function in a map":       {"74 00000001 6101 70", "executable"},
		"a function as a key":       {"74 00000001 70 6101", "executable"},
		"a pid":                     {"58 6400016e 00000001 00000000 00000000", "unknown kind"},
		"a bit string":              {"4d 00000001 07 fe", "unknown kind"},
		"an improper list":          {"6c 00000001 6101 6102", "improper"},
		"a list without an end":     {"6c 00000001 6101", "improper"},
		"a list longer than it is":  {"6c ffffffff 6101", "cut off"},
		"a tuple longer than it is": {"69 ffffffff 6101", "cut off"},
		"a map larger than it is":   {"74 ffffffff 6101 6101", "cut off"},
		"a binary cut off":          {"6d 00000003 6869", "cut off"},
		"an integer cut off":        {"6e ff 00 00", "cut off"},
		"a large integer cut off":   {"6f ffffffff 00 00", "cut off"},
		"an integer's sign":         {"6e 01 02 01", "sign"},
		"infinity as a float":       {"46 7ff0000000000000", "float"},
		"no number as a float":      {"46 7ff8000000000000", "float"},
		"an atom that is not UTF-8": {"77 01 ff", "UTF-8"},
		"an atom too long":          {"64 0100 " + strings.Repeat("61", 256), "too long"},
		"a tuple as a key":          {"74 00000001 6800 6101", "key of type"},
		"a list as a key":           {"74 00000001 6a 6101", "key of type"},
		"a map as a key":            {"74 00000001 7400000000 6101", "key of type"},
		"a big integer as a key":    {"74 00000001 6e09 00 000000000000000001 6101", "key of type"},
		"a key twice":               {"74 00000002 6101 6101 6101 6102", "twice"},
		"a key twice in two forms":  {"74 00000002 6101 6101 6200000001 6102", "twice"},
		"something behind it":       {"6101 00", "after the term"},
		"nested too deep":           {nested(maxDepth + 1), "deeper"},
		"nothing":                   {"", "not a term"},
	} {
		_, err := decodeTerm(unhex(t, "83"+c.term))
		require.ErrorContains(t, err, c.want, name)
	}
	_, err := decodeTerm(unhex(t, "83"+nested(maxDepth)))
	require.NoError(t, err)
	_, err = decodeTerm(unhex(t, "82 6101"))
	require.ErrorContains(t, err, "not a term")
}

func TestValuesThatAreNoTerms(t *testing.T) {
	cycle := []any{nil}
	cycle[0] = cycle
	for name, v := range map[string]any{
		"a struct":                  struct{}{},
		"a pointer":                 new(int),
		"a function":                func() {},
		"not a number":              math.NaN(),
		"infinity":                  math.Inf(1),
		"an atom too long":          Atom(strings.Repeat("a", 256)),
		"an atom that is not UTF-8": Atom("\xff"),
		"a tuple as a key":          map[any]any{[1]int{}: 1},
		"a big integer as a key":    map[any]any{uint64(1 << 63): 1},
		"not a number as a key":     map[any]any{math.NaN(): 1},
		"one key in two types":      map[any]any{1: 1, int8(1): 2},
		"one atom in two types":     map[any]any{Atom("true"): 1, true: 2},
		"inside of a list":          []any{func() {}},
		"inside of a map":           map[string]any{"a": func() {}},
		"a value within itself":     cycle,
	} {
		_, err := EncodeTerm(v)
		require.ErrorIs(t, err, ErrTerm, name)
	}
}

func TestSubjectIsAStringOrAnInteger(t *testing.T) {
	require.Equal(t, "bob", subjectOf("bob"))
	require.Equal(t, "-7", subjectOf(int64(-7)))
	require.Equal(t, "18446744073709551616", subjectOf(power(64)))
	for _, v := range []any{nil, true, 1.0, Atom("bob"), []any{}, Tuple{}, map[any]any{}} {
		require.Empty(t, subjectOf(v))
	}
}

// drawTerm draws values as they are decoded.
func drawTerm(depth int) *rapid.Generator[any] {
	atom := rapid.Map(rapid.StringN(0, 20, -1), func(s string) any { return atomTerm(s) })
	key := rapid.OneOf(
		atom,
		rapid.Map(rapid.Int64(), func(n int64) any { return n }),
		rapid.Map(rapid.String(), func(s string) any { return s }),
	)
	leaf := rapid.OneOf(
		key,
		rapid.Map(rapid.Float64(), func(f float64) any { return f }),
		rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) any { return string(b) }),
		rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 300), func(b []byte) any { return integer(new(big.Int).SetBytes(b)) }),
		rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 10), func(b []byte) any { return integer(new(big.Int).Neg(new(big.Int).SetBytes(b))) }),
	)
	if depth == 0 {
		return leaf
	}
	inner := drawTerm(depth - 1)
	list := rapid.SliceOfN(inner, 0, 5)
	return rapid.OneOf(
		leaf,
		rapid.Map(list, func(l []any) any { return append([]any{}, l...) }),
		rapid.Map(list, func(l []any) any { return append(Tuple{}, l...) }),
		rapid.Map(rapid.MapOfN(key, inner, 0, 5), func(m map[any]any) any { return m }),
	)
}

func TestTermsComeBackAsTheyWere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := drawTerm(4).Draw(t, "term")
		data, err := EncodeTerm(v)
		require.NoError(t, err)
		back, err := decodeTerm(data)
		require.NoError(t, err)
		require.Equal(t, v, back)
	})
}

func FuzzDecodeTerm(f *testing.F) {
	for _, text := range []string{
		"83 6101", "83 6200000001", "83 6e0600003e5bb1e901", "83 6b00020102", "83 6c00000001 61016a", "83 7400000001 64000161 6101",
		"83 4d0000000107fe", "83 70", "83 7702cea9", "83 463ff8000000000000", "83 6801 6801 6101", "83 69ffffffff", "83 73 01 e9",
	} {
		f.Add(unhex(f, text))
	}
	f.Add(compressed(f, []byte{97, 1}, 2))
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := decodeTerm(data)
		if err != nil {
			require.Nil(t, v)
			return
		}
		// What was read can be written, and has one form.
		once, err := EncodeTerm(v)
		require.NoError(t, err)
		again, err := decodeTerm(once)
		require.NoError(t, err)
		require.Equal(t, v, again)
		twice, err := EncodeTerm(again)
		require.NoError(t, err)
		require.Equal(t, once, twice)
	})
}
