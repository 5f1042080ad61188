package channel

import (
	"encoding/json"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPayload(t *testing.T) {
	type point struct{ X int }
	p, err := NewPayload(point{3})
	require.NoError(t, err)
	require.Equal(t, point{3}, p.Value(), "the native value, where it is local")
	require.JSONEq(t, `{"X":3}`, string(p.JSON()))

	remote := rawPayload(p.JSON())
	require.Equal(t, map[string]any{"X": 3.0}, remote.Value())
	for _, p := range []Payload{p, remote} {
		var got point
		require.NoError(t, p.Decode(&got))
		require.Equal(t, point{3}, got)
	}

	var zero Payload
	require.Equal(t, "{}", string(zero.JSON()))
	require.Equal(t, map[string]any{}, zero.Value())

	html, err := NewPayload(map[string]any{"b": "</script>&\u2603", "a": 1})
	require.NoError(t, err)
	require.Equal(t, `{"a":1,"b":"</script>&☃"}`, string(html.JSON()))

	nested, err := NewPayload(map[string]any{"p": remote})
	require.NoError(t, err)
	require.Equal(t, `{"p":{"X":3}}`, string(nested.JSON()))
}

func TestPayloadIsTakenWhenItIsMade(t *testing.T) {
	v := map[string]any{"n": 1}
	p, err := objectPayload(v)
	require.NoError(t, err)
	v["n"] = 2
	require.Equal(t, `{"n":1}`, string(p.JSON()))
}

func TestBinaryPayload(t *testing.T) {
	p, err := objectPayload(Binary([]byte{1, 2}))
	require.NoError(t, err)
	require.True(t, p.IsBinary())
	require.Nil(t, p.JSON())
	require.Equal(t, BinaryData{1, 2}, p.Value())
	var b []byte
	require.NoError(t, p.Decode(&b))
	require.Equal(t, []byte{1, 2}, b)
	require.ErrorIs(t, p.Decode(&struct{}{}), ErrPayload)
	_, err = json.Marshal(p)
	require.ErrorIs(t, err, ErrPayload)
}

func TestPayloadMustBeAnObject(t *testing.T) {
	proves(t, "B038")
	for _, v := range []any{1, "s", []int{1}, true, json.RawMessage("null"), json.RawMessage("{"), make(chan int), rawPayload([]byte("[1]"))} {
		_, err := objectPayload(v)
		require.ErrorIs(t, err, ErrPayload, "%v", v)
	}
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
