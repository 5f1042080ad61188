package presence

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMergedDiffsAreTheNetDifference(t *testing.T) {
	p := func(key string, refs ...string) Presence {
		p := Presence{Key: key}
		for _, ref := range refs {
			p.Metas = append(p.Metas, Meta{Ref: ref, Data: []byte(`{}`)})
		}
		return p
	}
	join := Diff{Joins: []Presence{p("a", "1"), p("b", "2")}}
	update := Diff{Joins: []Presence{p("a", "3")}, Leaves: []Presence{p("a", "1")}}
	leave := Diff{Leaves: []Presence{p("b", "2")}}
	require.Equal(t, Diff{Joins: []Presence{p("a", "3")}}, join.Merge(update).Merge(leave))
	require.Equal(t, Diff{Joins: []Presence{p("a", "1"), p("b", "2")}}, join, "what was merged stays as it was")
	require.Equal(t, update, Diff{}.Merge(update))
	require.Equal(t, Diff{Joins: []Presence{p("a", "3")}, Leaves: []Presence{p("a", "1"), p("b", "2")}}, update.Merge(leave))
	require.True(t, leave.Merge(Diff{Joins: []Presence{p("b", "2")}}).Empty(), "hidden and shown again")
}

func TestDiffsAndListsEncodeAsPhoenixDoes(t *testing.T) {
	l := &List{Presences: []Presence{
		{Key: `a"<`, Metas: []Meta{{Ref: "r1", Data: []byte(`{}`)}, {Ref: "r3", PrevRef: "r2", Data: []byte(`{"x":1}`)}}},
		{Key: "__proto__", Metas: []Meta{{Ref: "r4", Data: []byte(`{"y":[]}`)}}},
	}}
	require.JSONEq(t, `{"a\"<":{"metas":[{"phx_ref":"r1"},{"phx_ref":"r3","phx_ref_prev":"r2","x":1}]},"__proto__":{"metas":[{"phx_ref":"r4","y":[]}]}}`, string(l.JSON()))
	require.Equal(t, `{"joins":{},"leaves":{}}`, string(Diff{}.JSON()))
}
