package wire

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPayload(t *testing.T) {
	type point struct{ X int }
	p, err := NewPayload(point{3})
	require.NoError(t, err)
	require.Equal(t, point{3}, p.Value(), "the native value, where it is local")
	require.JSONEq(t, `{"X":3}`, string(p.JSON()))

	remote := RawPayload(p.JSON())
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
	p, err := ObjectPayload(v)
	require.NoError(t, err)
	v["n"] = 2
	require.Equal(t, `{"n":1}`, string(p.JSON()))
}

func TestBinaryPayload(t *testing.T) {
	p, err := ObjectPayload(Binary([]byte{1, 2}))
	require.NoError(t, err)
	require.True(t, p.IsBinary())
	require.Nil(t, p.JSON())
	require.Equal(t, Binary{1, 2}, p.Value())
	var b []byte
	require.NoError(t, p.Decode(&b))
	require.Equal(t, []byte{1, 2}, b)
	require.ErrorIs(t, p.Decode(&struct{}{}), ErrPayload)
	_, err = json.Marshal(p)
	require.ErrorIs(t, err, ErrPayload)
}

func TestPayloadMustBeAnObject(t *testing.T) {
	for _, v := range []any{1, "s", []int{1}, true, json.RawMessage("null"), json.RawMessage("{"), make(chan int), RawPayload([]byte("[1]"))} {
		_, err := ObjectPayload(v)
		require.ErrorIs(t, err, ErrPayload, "%v", v)
	}
}

func TestRefsAndPayloadsInJSON(t *testing.T) {
	for text, want := range map[string]Ref{`"1"`: StringRef("1"), `1.50`: {text: "1.50"}, `null`: {}, `""`: StringRef("")} {
		var r Ref
		require.NoError(t, json.Unmarshal([]byte(text), &r))
		require.Equal(t, want, r)
		again, err := json.Marshal(r)
		require.NoError(t, err)
		require.Equal(t, text, string(again))
	}
	require.Error(t, json.Unmarshal([]byte(`{}`), new(Ref)))
	var p Payload
	require.NoError(t, json.Unmarshal([]byte(`{"a": [1, 2]}`), &p))
	require.Equal(t, `{"a":[1,2]}`, string(p.JSON()))
	require.NoError(t, json.Unmarshal([]byte(`null`), &p))
	require.Equal(t, `{}`, string(p.JSON()))
}
