package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestUserNames(t *testing.T) {
	tests := []struct {
		name, in, want, fault string
	}{
		{"plain", "alice", "alice", ""},
		{"trimmed", "  Zoë van Dyk \n", "Zoë van Dyk", ""},
		{"any script", "李雷", "李雷", ""},
		{"emoji made of several", "👩\u200d🚀", "👩\u200d🚀", ""},
		{"names of JavaScript's own", "__proto__", "__proto__", ""},
		{"longest", strings.Repeat("é", 40), strings.Repeat("é", 40), ""},
		{"too long", strings.Repeat("é", 41), "", "your name has 41 characters, at most 40 are allowed"},
		{"empty", "", "", "your name is empty"},
		{"only spaces", " \t\u00a0", "", "your name is empty"},
		{"line break inside", "a\nb", "", "U+000A"},
		{"direction override", "a\u202eb", "", "U+202E"},
		{"not UTF-8", "a\xff", "", "your name is not valid UTF-8"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := userName(tt.in)
			require.Equal(t, tt.want, got)
			if tt.fault == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, tt.fault)
			}
		})
	}
}

func TestRoomNamesFitIntoATopic(t *testing.T) {
	longest := strings.Repeat("😀", maxRoomName)
	got, err := roomName(longest)
	require.NoError(t, err)
	require.LessOrEqual(t, len(topicPrefix+got), 255)

	_, err = roomName(longest + "x")
	require.ErrorContains(t, err, "the name of the room has 61 characters")
}
