package jsontext

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// What encoding/json makes of an array, and of what is none.
func TestElementsAreThoseThatEncodingJSONFinds(t *testing.T) {
	for _, text := range []string{
		`[]`, ` [ ] `, `[1]`, "\t[ null ,\"a\\\"],[\" , {\"b\":[1,{}],\"c\":\"}\"} , [[],[2]] ,-1e3,true, \"\\\\\" ]\n",
		`["1","2","t","e",{"]":"["}]`, `[1,2,3,4,5,6,7]`, `[[[[[]]]]]`, `[""]`,
		`null`, ` null`, `{}`, `"[]"`, `1`, ``, ` `, `[`, `[1`, `[1,]`, `[,1]`, `[]]`, `[] []`, `["a]`, `[1 2]`, `]`,
	} {
		var want []json.RawMessage
		wantErr := json.Unmarshal([]byte(text), &want)
		var parts [5]json.RawMessage
		n, err := Elements([]byte(text), parts[:])
		require.Equal(t, wantErr, err, text)
		if err == nil {
			require.Len(t, want, n, text)
			for i := range min(n, len(parts)) {
				require.Equal(t, string(want[i]), string(parts[i]), text)
			}
		}
	}
}
