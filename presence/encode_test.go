package presence

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

// A meta that is passed on from a client cannot take another one's ref, nor
// hide, however the names are written.
func TestAMetaHasNoRefsOfItsOwn(t *testing.T) {
	for _, text := range []string{
		`{"phx_ref":"forged","phx_ref_prev":"forged","a":1}`,
		`{"\u0070hx_ref":"forged","phx\u005Fref_prev":"forged","a":1}`,
		`{"phx_\u0068idden":true,"a":1}`,
		`{"phx_ref":1,"\u0070\u0068\u0078\u005f\u0072\u0065\u0066":2,"phx_hidden":true,"a":1}`,
	} {
		data, err := encodeMeta(json.RawMessage(text), 1000)
		require.NoError(t, err, text)
		require.JSONEq(t, `{"a":1}`, string(data), text)
	}
	data, err := encodeMeta(json.RawMessage(`{"a":{"phx_ref":"\u0070"}}`), 1000)
	require.NoError(t, err)
	require.JSONEq(t, `{"a":{"phx_ref":"p"}}`, string(data), "what is further inside is the caller's")
}

// FuzzEncodeMeta: whatever JSON a client's meta is, what others get is an object
// with the ref that it has here, and it is hidden by Hidden alone.
func FuzzEncodeMeta(f *testing.F) {
	for _, text := range []string{
		`{}`, ` { "a" : [1, 2.5e3, null] } `, `{"phx_ref":"x","phx_ref_prev":"y","phx_hidden":true}`, `{"\u0070hx_ref":1}`,
		`null`, `[]`, `"x"`, `{"a":1,"a":2}`, `{"\ud800":"\u2028<>&"}`, `{"phx_hidden":true}`, "{\"\\u00",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		const limit = 1000
		data, err := encodeMeta(json.RawMessage(text), limit)
		if err != nil {
			return
		}
		require.LessOrEqual(t, len(data), limit)
		for hidden, data := range map[bool][]byte{false: data, true: hide(data)} {
			m := Meta{Ref: "mine", Data: data}
			require.Equal(t, hidden, m.Hidden())
			shown, err := m.MarshalJSON()
			require.NoError(t, err)
			var fields map[string]any
			require.NoError(t, json.Unmarshal(shown, &fields), "%s", shown)
			require.Equal(t, "mine", fields["phx_ref"], "%s", shown)
			require.NotContains(t, fields, "phx_ref_prev")
			if !hidden {
				require.NotContains(t, fields, "phx_hidden")
			}
		}
	})
}
