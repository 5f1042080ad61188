package main

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTheBuiltInDeckMeetsItsOwnRules(t *testing.T) {
	data, err := json.Marshal(builtinDeck)
	require.NoError(t, err)
	deck, err := parseDeck("builtin", data)
	require.NoError(t, err)
	require.Equal(t, builtinDeck, deck)
}

func TestADeckIsReadFromAFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "cards.json")
	require.NoError(t, os.WriteFile(file, []byte("\ufeff[\n {\"title\": \" One \", \"description\": \"first\\nline\"},\n {\"title\": \"Two\"}\n]\n"), 0o600))
	deck, err := LoadDeck(file)
	require.NoError(t, err)
	require.Equal(t, Deck{{"One", "first\nline"}, {"Two", ""}}, deck)
}

func TestAMissingDeckIsNamed(t *testing.T) {
	_, err := LoadDeck("no/such/cards.json")
	require.ErrorIs(t, err, os.ErrNotExist)
	require.ErrorContains(t, err, "no/such/cards.json")
}

func TestDeckErrorsNameFileLineAndFault(t *testing.T) {
	long := strings.Repeat("x", 2000)
	tests := []struct {
		name, data, want string
	}{
		{"empty file", "", "d.json:1: the file ends too early"},
		{"an object", `{"title":"a"}`, "d.json:1: not an array"},
		{"empty array", "[]", "d.json:1: no cards"},
		{"not closed", "[\n{\"title\":\"a\"}\n", "d.json:3: the file ends too early"},
		{"comma missing", "[\n{\"title\":\"a\"}\n{\"title\":\"b\"}]", "d.json:3: "},
		{"trailing comma", "[\n{\"title\":\"a\"},\n]", "d.json:3: "},
		{"broken in a card", "[\n{\"title\":\"a\"},\n{\"title\":\n\"b}]", "d.json:4: the file ends too early"},
		{"card is a text", "[\n\"a\"]", "d.json:2: card 1: not an object"},
		{"card is null", "[null]", "d.json:1: card 1: not an object"},
		{"title is a number", "[{\"title\":\"a\"},\n{\n\"title\":5}]", `d.json:3: card 2: "title" is a number, want a text in quotes`},
		{"unknown field", "[\n{\"titel\":\"a\"}]", `d.json:2: card 1: unknown field "titel"`},
		{"no title", "[\n{\"title\":\"a\"},\n\n{\"description\":\"b\"}]", `d.json:4: card 2: "title" is missing or empty`},
		{"long title", `[{"title":"` + long + `"}]`, `d.json:1: card 1: "title" has 2000 characters, at most 120`},
		{"long description", `[{"title":"a","description":"` + long + `"}]`, `"description" has 2000 characters, at most 1000`},
		{"large when encoded", `[{"title":"a","description":"` + strings.Repeat("<>", 500) + `"},` +
			`{"title":"` + strings.Repeat("<", 120) + `","description":"` + strings.Repeat("&", 1000) + `"}]`, "card 2: takes 6"},
		{"line break in a title", `[{"title":"a\nb"}]`, `"title" has a line break`},
		{"control in a description", `[{"title":"a","description":"\u0000"}]`, "control character"},
		{"not UTF-8", "[\n{\"title\":\"\xff\"}]", "d.json:2: not valid UTF-8"},
		{"something behind", "[{\"title\":\"a\"}]\n\n[]", "d.json:3: invalid character '[' after top-level value"},
		{"too many", "[" + strings.Repeat("{\"title\":\"a\"},\n", maxCards+5) + "{}]", "d.json:501: more than 500 cards"},
		{"too large", strings.Repeat(" ", maxDeckBytes+1), "d.json: larger than 1048576 bytes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			deck, err := parseDeck("d.json", []byte(tt.data))
			require.ErrorContains(t, err, tt.want)
			require.Nil(t, deck)
			var fault *DeckError
			require.ErrorAs(t, err, &fault)
		})
	}
}

func TestAllFaultsOfADeckAreReportedAtOnce(t *testing.T) {
	_, err := parseDeck("d.json", []byte("[{},\n{\"title\":1},\n{\"title\":\"ok\"},\n7]"))
	require.ErrorContains(t, err, "d.json:1: card 1")
	require.ErrorContains(t, err, "d.json:2: card 2")
	require.ErrorContains(t, err, "d.json:4: card 4")
}

func TestTheLargestCardFitsIntoAMeta(t *testing.T) {
	card := Card{Title: strings.Repeat("é", maxTitle), Description: "<"}
	for len(card.Description) < maxDescription && card.check() == nil {
		card.Description += "<"
	}
	card.Description = card.Description[1:]
	require.NoError(t, card.check())
	result := tally([]int{0, 1, 3, 5})
	for i := range result.Counts {
		result.Counts[i].Votes = math.MaxInt32
	}
	result.Rev = math.MaxInt32
	meta, err := json.Marshal(Meta{
		Tab: rand.Text(), Joined: math.MaxInt64,
		Vote:  &Vote{Card: math.MaxInt32, Points: 5, At: math.MaxInt64, Seen: math.MaxInt32},
		Round: &Round{N: math.MaxInt32, Index: maxCards, Total: maxCards, Card: &card, Result: result},
	})
	require.NoError(t, err)
	require.Greater(t, len(meta), maxCardBytes)
	require.Less(t, len(meta), 8<<10)
}

func FuzzParseDeck(f *testing.F) {
	for _, seed := range []string{"", "[", "[]", `[{"title":"a"}]`, `[{"title":"a","description":"b"},{"title":5}]`, "\ufeff[1,]", "[{\"title\":\"\xff\"}]", "[\n\n{}]x"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		deck, err := parseDeck("f", data)
		if err != nil {
			var fault *DeckError
			if !errors.As(err, &fault) || len(deck) != 0 {
				t.Fatalf("%v with %d cards", err, len(deck))
			}
			return
		}
		if len(deck) == 0 || len(deck) > maxCards {
			t.Fatalf("%d cards", len(deck))
		}
		for _, card := range deck {
			if err := card.check(); err != nil {
				t.Fatal(err)
			}
		}
	})
}
