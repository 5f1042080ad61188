package bus

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestADestinationIs1To600BytesOfUTF8(t *testing.T) {
	tests := []struct{ dest, fault string }{
		{"x", ""},
		{"t:*", ""},
		{"\x00", ""},
		{strings.Repeat("x", 600), ""},
		{strings.Repeat("é", 300), ""},
		{"", "empty"},
		{strings.Repeat("x", 601), "601 bytes, at most 600"},
		{strings.Repeat("é", 300) + "x", "601 bytes, at most 600"},
		{"a\xff", `"a\xff" is not UTF-8`},
	}
	for _, tt := range tests {
		err := CheckDest(tt.dest)
		if tt.fault == "" {
			require.NoError(t, err)
			continue
		}
		require.ErrorIs(t, err, ErrDest)
		require.EqualError(t, err, "bus: invalid destination: "+tt.fault)
	}
}
