package behaviour_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/presence"
)

// A roster folds presence_state and presence_diff as phoenix.js does, and fails
// where a diff does not fit: a join of a ref that is there, or a leave of one that
// is not.
type roster struct {
	t    testing.TB
	name string
	// asksLate: the client asks for the state some time after its join. Diffs that
	// come before the state are then kept, and applied after it where they still
	// fit. Otherwise none may come.
	asksLate bool

	synced bool
	early  []message
	keys   map[string]string // by phx_ref
	diffs  int
}

func newRoster(t testing.TB, name string) *roster { return &roster{t: t, name: name} }

func (r *roster) fold(all []message) {
	r.t.Helper()
	for _, m := range all {
		switch {
		case m.event == "phx_reply" && m.ref == m.joinRef:
			r.synced, r.early, r.keys = false, nil, nil
		case m.event == "presence_state":
			r.synced, r.keys = true, map[string]string{}
			r.join(list(r.t, m.payload), true)
			for _, diff := range r.early {
				r.apply(diff, false)
			}
			r.early = nil
		case m.event == "presence_diff" && r.synced:
			r.diffs++
			r.apply(m, true)
		case m.event == "presence_diff":
			require.True(r.t, r.asksLate, "%s: a diff before the state: %s", r.name, m.payload)
			r.early = append(r.early, m)
		case m.event == "phx_error":
			require.Fail(r.t, "crashed", "%s on %s: %s", r.name, m.topic, m.payload)
		}
	}
}

type shown map[string]struct {
	Metas []struct {
		Ref  string `json:"phx_ref"`
		Prev string `json:"phx_ref_prev"`
	}
}

func list(t testing.TB, text json.RawMessage) (l shown) {
	t.Helper()
	require.NoError(t, json.Unmarshal(text, &l))
	return l
}

type change struct{ Joins, Leaves shown }

func diffOf(t testing.TB, m message) (d change) {
	t.Helper()
	require.NoError(t, json.Unmarshal(m.payload, &d))
	return d
}

func (r *roster) apply(m message, strictly bool) {
	r.t.Helper()
	d := diffOf(r.t, m)
	r.join(d.Joins, strictly)
	for key, p := range d.Leaves {
		for _, meta := range p.Metas {
			require.True(r.t, !strictly || r.keys[meta.Ref] == key, "%s: %s leaves but is not there: %s", r.name, key, m.payload)
			delete(r.keys, meta.Ref)
		}
	}
}

func (r *roster) join(l shown, strictly bool) {
	r.t.Helper()
	for key, p := range l {
		for _, meta := range p.Metas {
			require.False(r.t, strictly && r.keys[meta.Ref] != "", "%s: %s joins but is already there", r.name, key)
			r.keys[meta.Ref] = key
		}
	}
}

// holds requires that the roster equals list.
func (r *roster) holds(list *presence.List) {
	r.t.Helper()
	require.True(r.t, r.synced, "%s has no state", r.name)
	require.Equal(r.t, refs(list), r.keys, r.name)
}

func refs(list *presence.List) map[string]string {
	keys := map[string]string{}
	for _, p := range list.Presences {
		for _, meta := range p.Metas {
			keys[meta.Ref] = p.Key
		}
	}
	return keys
}
