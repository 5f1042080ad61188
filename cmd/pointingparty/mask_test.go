package main

import (
	"encoding/json"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/presence"
)

func TestClientsSeeThatSomebodyVotedAndNotWhat(t *testing.T) {
	in := row{"al", 7, &Vote{Card: 3, Points: 5, At: 99, Seen: 1}, card(3, revealedAs(1, 5))}.presence()
	in.Metas[0].PrevRef = "before"
	before := string(in.Metas[0].Data)

	out, err := mask(t.Context(), "party:x", []presence.Presence{in})
	require.NoError(t, err)

	require.Equal(t, []presence.Presence{{Key: "al", Metas: []presence.Meta{
		{Ref: "al/7", PrevRef: "before", Data: json.RawMessage(`{"joined":7,"vote":{"card":3}}`)},
	}}}, out)
	require.Equal(t, before, string(in.Metas[0].Data), "the input is shared and must not change")
}

func TestWhoHasNotVotedIsMaskedToo(t *testing.T) {
	require.JSONEq(t, `{"joined":7}`, string(maskMeta(row{"al", 7, nil, nil}.presence().Metas[0])))
}

func FuzzMaskLetsNothingElseThrough(f *testing.F) {
	for _, seed := range []string{`{}`, `null`, `[`, `{"joined":1,"vote":{"card":2,"points":3}}`, `{"vote":{"points":5,"at":7}}`, `{"joined":"x","secret":1}`, `{"round":{"n":1,"result":{"rev":1,"points":[3]}}}`} {
		f.Add([]byte(seed))
	}
	shape := regexp.MustCompile(`^\{"joined":-?\d+(,"vote":\{"card":-?\d+\})?\}$`)
	f.Fuzz(func(t *testing.T, data []byte) {
		if out := maskMeta(presence.Meta{Data: data}); !shape.Match(out) {
			t.Fatalf("%s", out)
		}
	})
}
