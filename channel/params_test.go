package channel

import (
	"encoding/json"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"
)

// depth is how deep what was decoded from parameters nests. What it is made of
// is maps, lists of strings, and strings.
func depth(t *testing.T, v any) int {
	deepest := 0
	switch v := v.(type) {
	case string:
		return 0
	case map[string]any:
		require.NotEmpty(t, v)
		for _, inner := range v {
			deepest = max(deepest, depth(t, inner))
		}
	case []any:
		for _, inner := range v {
			require.IsType(t, "", inner)
		}
	default:
		require.Fail(t, "of no such type", "%T", v)
	}
	return deepest + 1
}

// FuzzParams: any query is decoded into something that is no deeper than the
// limit, the same each time, and not larger than it should be.
func FuzzParams(f *testing.F) {
	for _, query := range []string{
		"", "a=1&b=x%20y", "a[b]=1&a[c][d]=2", "a[]=1&a[]=2", "a=1&a[b]=2&a[]=3", "[x]=1&a[=2&a]b=3", "a[][b]=1", "%5B%5D=1&[]=2&a[[]]=3&a][=4",
		"a[1][2][3][4][5][6][7][8][9][10][11][12][13][14][15]=1", "a[1][2][3][4][5][6][7][8][9][10][11][12][13][14][15][16]=1", "a[%00]=%ff",
	} {
		f.Add(query)
	}
	f.Fuzz(func(t *testing.T, query string) {
		values, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		params := decodeParams(values)
		require.LessOrEqual(t, len(params), len(values))
		for _, v := range params {
			require.LessOrEqual(t, depth(t, v), maxParamDepth)
		}
		require.Equal(t, params, decodeParams(values))
		_, err = json.Marshal(params)
		require.NoError(t, err)
	})
}

func TestParams(t *testing.T) {
	proves(t, "B003")
	for query, want := range map[string]Params{
		"":                   {},
		"a=1&b=x%20y":        {"a": "1", "b": "x y"},
		"a=1&a=2":            {"a": "2"},
		"a[b]=1&a[c][d]=2":   {"a": map[string]any{"b": "1", "c": map[string]any{"d": "2"}}},
		"a[]=1&a[]=2":        {"a": []any{"1", "2"}},
		"a[b][]=1":           {"a": map[string]any{"b": []any{"1"}}},
		"a=1&a[b]=2":         {"a": map[string]any{"b": "2"}},
		"[x]=1&a[=2&a]b=3":   {"[x]": "1", "a[": "2", "a]b": "3"},
		"a[][b]=1":           {"a[][b]": "1"},
		"__proto__[x]=1":     {"__proto__": map[string]any{"x": "1"}},
		"vsn=2.0.0&user=bob": {"vsn": "2.0.0", "user": "bob"},
	} {
		values, err := url.ParseQuery(query)
		require.NoError(t, err)
		require.Equal(t, want, decodeParams(values), query)
	}
}
