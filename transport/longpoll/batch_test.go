package longpoll

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// B101, B102.
func TestBodiesAreTakenApart(t *testing.T) {
	text := func(s string) entry { return entry{data: []byte(s)} }
	binary := func(s string) entry { return entry{binary: true, data: []byte(s)} }
	tests := []struct {
		name, contentType, body string
		want                    []entry
		err                     error
	}{
		{"a batch", ndjson, "[1]\n[2]\nAAEC", []entry{text("[1]"), text("[2]"), binary("\x00\x01\x02")}, nil},
		{"lines that end as on Windows", ndjson, "[1]\r\nAAEC\r\n[2]", []entry{text("[1]"), binary("\x00\x01\x02"), text("[2]")}, nil},
		{"an empty line is a binary message without bytes", ndjson, "[1]\n", []entry{text("[1]"), binary("")}, nil},
		{"an empty body too", ndjson, "", []entry{binary("")}, nil},
		{"version 1 in a batch", ndjson, `{"topic":"t"}`, nil, errBase64},
		{"no base64", ndjson, "[1]\n!!!!", nil, errBase64},
		{"base64 without padding", ndjson, "AAE", nil, errBase64},
		{"base64 of the URL alphabet", ndjson, "_-_-", nil, errBase64},
		{"base64 across lines", ndjson, "AA\rEC", nil, errBase64},
		{"another type", "application/json", "{\"a\":\n1}", []entry{text("{\"a\":\n1}")}, nil},
		{"no type", "", "[1]\n[2]", []entry{text("[1]\n[2]")}, nil},
		{"the type with a parameter", ndjson + "; charset=utf-8", "[1]\n[2]", []entry{text("[1]\n[2]")}, nil},
		{"a line of ten bytes", ndjson, "[12345678]", []entry{text("[12345678]")}, nil},
		{"a line of eleven", ndjson, "[123456789]", nil, errEntryTooBig},
		{"ten bytes in base64", ndjson, base64.StdEncoding.EncodeToString([]byte("0123456789")), []entry{binary("0123456789")}, nil},
		{"eleven bytes in base64", ndjson, base64.StdEncoding.EncodeToString([]byte("0123456789a")), nil, errEntryTooBig},
		{"eleven bytes unbatched", "", "[1]\n[2]\n[3]", nil, errEntryTooBig},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parseBody(tt.contentType, []byte(tt.body), 10)
			require.ErrorIs(t, err, tt.err)
			require.Equal(t, tt.want, got)
		})
	}
}

func TestABatchHasAtMost100Messages(t *testing.T) {
	var lines []string
	for i := range 103 {
		lines = append(lines, fmt.Sprintf("[%d]", i))
	}
	lines[101] = "no base64" // ignored like the others
	got, err := parseBody(ndjson, []byte(strings.Join(lines, "\n")), 1000)
	require.NoError(t, err)
	require.Len(t, got, 100)
	require.Equal(t, "[99]", string(got[99].data))
}

// FuzzBatch: nothing panics, limits hold, and messages are those of the body.
func FuzzBatch(f *testing.F) {
	f.Add(ndjson, []byte("[\"3\",\"4\",\"room:lobby\",\"a\",{\"n\":1}]\nAAEBCgMzNnJvb206bG9iYnliaW4BAg=="), 100)
	f.Add(ndjson, []byte("\r\n\n[]\n"), 1)
	f.Add("application/json", []byte("{}"), 2)
	f.Add(ndjson, []byte(strings.Repeat("[\n", 200)), 10)
	f.Fuzz(func(t *testing.T, contentType string, body []byte, maxFrame int) {
		entries, err := parseBody(contentType, body, maxFrame)
		if err != nil {
			require.Nil(t, entries)
			return
		}
		require.NotEmpty(t, entries)
		require.LessOrEqual(t, len(entries), maxBatch)
		for _, e := range entries {
			require.LessOrEqual(t, len(e.data), maxFrame)
			if contentType == ndjson && !e.binary {
				require.Equal(t, byte('['), e.data[0])
				require.NotContains(t, string(e.data), "\n")
			}
		}
		if contentType != ndjson {
			require.Equal(t, []entry{{data: body}}, entries)
		}
	})
}
