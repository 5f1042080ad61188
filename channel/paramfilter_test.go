package channel

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/channel/internal/jsontext"
	"github.com/rollcall-go/rollcall/channel/wire"
)

func TestParamFilter(t *testing.T) {
	proves(t, "B088")
	for _, c := range []struct {
		name   string
		filter ParamFilter
		params string
		want   string
	}{
		{"by default", ParamFilter{}, `{"user":"bob","password":"x","token":"y"}`, `{"user":"bob","password":"[FILTERED]","token":"[FILTERED]"}`},
		{"other words for it", ParamFilter{}, `{"secret":"x","apikey":"y","API_KEY":"z","key":"k"}`, `{"secret":"[FILTERED]","apikey":"[FILTERED]","API_KEY":"[FILTERED]","key":"k"}`},
		{"part of a key", ParamFilter{}, `{"password_confirmation":"x","_csrf_token":{"a":1}}`, `{"password_confirmation":"[FILTERED]","_csrf_token":"[FILTERED]"}`},
		{"in any case", ParamFilter{}, `{"PassWord":"x","accessToken":1}`, `{"PassWord":"[FILTERED]","accessToken":"[FILTERED]"}`},
		{"nested", ParamFilter{}, `{"user":{"password":"x","name":"bob"},"list":[{"token":"y"},2]}`, `{"user":{"password":"[FILTERED]","name":"bob"},"list":[{"token":"[FILTERED]"},2]}`},
		{"no object", ParamFilter{}, `["password",7,null]`, `["password",7,null]`},
		{"words of one's own", ParamFilter{Hide: []string{"Secret"}}, `{"my_secret":"x","password":"y"}`, `{"my_secret":"[FILTERED]","password":"y"}`},
		{"no words", ParamFilter{Hide: []string{}}, `{"password":"y"}`, `{"password":"y"}`},
		{"keep", ParamFilter{Keep: []string{"id", "order"}}, `{"id":1,"ids":2,"order":{"password":"x"},"user":{"id":3,"name":"bob"},"list":["a",{"id":4}]}`,
			`{"id":1,"ids":"[FILTERED]","order":{"password":"x"},"user":{"id":3,"name":"[FILTERED]"},"list":["[FILTERED]",{"id":4}]}`},
		{"keep nothing", ParamFilter{Keep: []string{}}, `{"a":1,"b":[true]}`, `{"a":"[FILTERED]","b":["[FILTERED]"]}`},
	} {
		var v, before any
		require.NoError(t, json.Unmarshal([]byte(c.params), &v))
		require.NoError(t, json.Unmarshal([]byte(c.params), &before))
		got, err := json.Marshal(c.filter.Apply(v))
		require.NoError(t, err)
		require.JSONEq(t, c.want, string(got), c.name)
		require.Equal(t, before, v, "%s: it is not changed", c.name)
	}
	require.Equal(t, map[string]any{"token": filtered, "a": "b"}, ParamFilter{}.Apply(Params{"token": "x", "a": "b"}))
	type reply struct {
		Password string `json:"password"`
		Reason   string `json:"reason"`
	}
	require.Equal(t, map[string]any{"password": filtered, "reason": "no"}, ParamFilter{}.Apply(map[string]any{"password": "x", "reason": "no"}))
	require.Equal(t, map[string]any{"password": filtered, "reason": "no"}, ParamFilter{}.Apply(reply{"x", "no"}))
	require.Equal(t, filtered, ParamFilter{}.Apply(func() {}))
}

// bytesPayload is the payload of bytes.
func bytesPayload(text string) Payload {
	p, err := wire.NewPayload(Binary(text))
	must(err)
	return p
}

func TestWhatIsLoggedOfParametersIsBounded(t *testing.T) {
	f := ParamFilter{}
	require.Equal(t, `{"a":1}`, f.payload(wire.RawPayload([]byte(`{"a":1}`))))
	require.Equal(t, "(4 bytes)", f.payload(bytesPayload("\x00\x01\x02\x03")))
	require.Equal(t, "(5008 bytes)", f.payload(wire.RawPayload([]byte(`{"a":"`+strings.Repeat("x", 5000)+`"}`))))
	require.Equal(t, "(5008 bytes)", f.text(map[string]any{"a": strings.Repeat("x", 5000)}))
	require.Equal(t, strings.Repeat("x", wire.MaxTopic)+"...", clip(strings.Repeat("x", 300), wire.MaxTopic))
	require.Equal(t, strings.Repeat("x", wire.MaxTopic-1)+"...", clip(strings.Repeat("x", wire.MaxTopic-1)+"ä", wire.MaxTopic), "no half of a character")
}

// What is shown without being parsed is what parsing would show.
func TestShortWayHidesAsMuchAsTheLongOne(t *testing.T) {
	filters := map[string]ParamFilter{"default": {}, "own words": {Hide: []string{"Pin"}}, "nothing": {Hide: []string{}}, "keep": {Keep: []string{"a"}}}
	for name, f := range filters {
		for _, params := range []Params{
			{}, {"a": "1", "b": "2"}, {"vsn": "2.0.0", "Token": "x"}, {"PIN": "1"}, {"a": "my token"}, {"b": "<\"\\é\u2028>"},
			{"to\u212aen": "kelvin"}, {"a": map[string]any{"secret": "x"}}, {"a": []any{"1"}}, {"": ""}, {"long": strings.Repeat("x", maxLogged)},
		} {
			long := f.text(map[string]any(params))
			require.Equal(t, long, f.params(params), name)
			if data, err := jsontext.Marshal(params); err == nil && len(data) <= maxLogged {
				require.Equal(t, long, f.payload(wire.RawPayload(data)), name)
			}
		}
		require.Equal(t, f.text(map[string]any{"token": "x"}), f.payload(wire.RawPayload([]byte(`{"\u0074oken":"x"}`))), name)
	}
}
