package load

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDiffHasUsersAndTheirNumbers(t *testing.T) {
	c, err := parseDiff([]byte(`{"joins":{"u000003":{"metas":[{"n":4,"phx_ref":"a"},{"phx_ref":"b","n":9}]},"somebody":{"metas":[{"n":1}]}},
		"x": [{"y": "}"}, null, -1.5e3], "leaves": {"u000001":{"user":{"n":7},"metas":[{"deep":{"n":8}}]}}}`))
	require.NoError(t, err)
	require.Equal(t, &change{joins: []present{{3, 9}}, leaves: []present{{1, 0}}}, c)
}

func TestStateHasUsersAndTheirNumbers(t *testing.T) {
	c, err := parseState([]byte(`{"u000001":{"metas":[{"n":1}]},"u12":{"metas":[]}}`))
	require.NoError(t, err)
	require.Equal(t, []present{{1, 1}, {12, 0}}, c.joins)
	c, err = parseState([]byte(`{}`))
	require.NoError(t, err)
	require.Empty(t, c.joins)
}

func TestAMalformedPresencePayloadIsAnError(t *testing.T) {
	for _, text := range []string{
		``, `[]`, `{"joins":[]}`, `{"joins":{}`, `{"joins":{}}}`, `{"joins":{"u1":{"metas":{}}}}`, `{"joins":{"u1":{"metas":[{"n":}]}}}`, `{"joins"}`, `{"x":"`, `{"x":"\`,
		`{"x":` + strings.Repeat("[", 10_000),
	} {
		_, err := parseDiff([]byte(text))
		require.ErrorIs(t, err, errPresences, text)
	}
}

func TestSharedParserParsesOnceAndEvicts(t *testing.T) {
	p := newSharedParser()
	text := []byte(`{"u000001":{"metas":[{"n":1}]}}`)
	first, err := p.parse(true, text)
	require.NoError(t, err)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			if again, err := p.parse(true, []byte(string(text))); err != nil || again != first {
				t.Errorf("parsed again: %v", err)
			}
		})
	}
	all.Wait()
	_, err = p.parse(false, text)
	require.NoError(t, err, "as a diff it has fields that are not known")
	for i := range 3 * maxKnown {
		_, err := p.parse(true, fmt.Appendf(nil, `{"u%d":{}}`, i))
		require.NoError(t, err)
	}
	require.LessOrEqual(t, len(p.known[0])+len(p.known[1]), 2*maxKnown)
	again, err := p.parse(true, text)
	require.NoError(t, err)
	require.NotSame(t, first, again)
	require.Equal(t, first, again)
}

func TestSeenFollowsDiffsAndStates(t *testing.T) {
	s := newSeen(70)
	s.apply(false, &change{joins: []present{{user: 1}, {user: 69}, {user: 1}, {user: 1000}}})
	require.Equal(t, 2, s.count)
	s.apply(false, &change{leaves: []present{{user: 1}, {user: 69}, {user: 5}}, joins: []present{{user: 1}}})
	require.Equal(t, 1, s.count, "who leaves and joins in one diff is there")
	s.apply(true, &change{joins: []present{{user: 2}, {user: 3}, {user: 4}}})
	require.Equal(t, 3, s.count)
	s.clear()
	require.Zero(t, s.count)
}

func FuzzParseDiff(f *testing.F) {
	f.Add([]byte(`{"joins":{"u000003":{"metas":[{"n":4,"phx_ref":"a"}]}},"leaves":{}}`))
	f.Add([]byte(`{"leaves":{"u1":{"metas":[{"n":1e3},{"n":"2"}]}},"joins":{"é\"":{"metas":[]}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := parseDiff(data)
		var payload struct {
			Joins, Leaves map[string]struct{ Metas []struct{ N int64 } }
		}
		if json.Unmarshal(data, &payload) != nil || err != nil {
			return
		}
		// Both take it: encoding/json knows the same users, where it does not fold
		// the case of names or keep the last of equal ones.
		if strings.Count(string(data), `"joins"`) != 1 || strings.ContainsAny(string(data), `\JOINSſK`) {
			return
		}
		users := map[int]bool{}
		for key := range payload.Joins {
			if user, ok := userOf([]byte(key)); ok {
				users[user] = true
			}
		}
		got := map[int]bool{}
		for _, p := range c.joins {
			got[p.user] = true
		}
		require.Equal(t, users, got)
	})
}
