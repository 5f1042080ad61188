package list

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type item struct {
	value int
	node  Node[item]
}

// The list behaves as a slice does, whatever is done to it.
func TestAListIsASlice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var l, other List[item]
		var want []*item
		check := func() {
			require.Equal(t, len(want), l.Len())
			var got []*item
			for n := l.first; n != nil; n = n.next {
				got = append(got, n.element)
			}
			require.True(t, slices.Equal(want, got))
			slices.Reverse(got)
			for n := l.last; n != nil; n = n.prev {
				require.Same(t, n.element, got[0])
				got = got[1:]
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"push": func(t *rapid.T) {
				it := &item{value: len(want)}
				require.False(t, it.node.Linked())
				l.Push(it, &it.node)
				require.True(t, it.node.In(&l))
				require.False(t, it.node.In(&other))
				want = append(want, it)
			},
			"push front": func(t *rapid.T) {
				it := &item{value: len(want)}
				l.PushFront(it, &it.node)
				require.True(t, it.node.In(&l))
				want = slices.Insert(slices.Clone(want), 0, it)
			},
			"pop": func(t *rapid.T) {
				if len(want) == 0 {
					require.Nil(t, l.Front())
					require.Nil(t, l.Pop())
					return
				}
				require.Same(t, want[0], l.Front())
				require.Same(t, want[0], l.Pop())
				require.False(t, want[0].node.Linked())
				want = want[1:]
			},
			"remove": func(t *rapid.T) {
				if len(want) == 0 {
					return
				}
				i := rapid.IntRange(0, len(want)-1).Draw(t, "i")
				it := want[i]
				it.node.Remove()
				it.node.Remove() // it is in no list any more
				want = slices.Delete(slices.Clone(want), i, i+1)
			},
			"": func(*rapid.T) { check() },
		})
	})
}

func TestANodeIsInOneListAtATime(t *testing.T) {
	var a, b List[item]
	it := &item{}
	a.Push(it, &it.node)
	require.Panics(t, func() { b.Push(it, &it.node) })
	require.Panics(t, func() { b.PushFront(it, &it.node) })
	it.node.Remove()
	b.Push(it, &it.node)
	require.Zero(t, a.Len())
	require.Equal(t, 1, b.Len())
}

func TestPushingAndPoppingAllocatesNothing(t *testing.T) {
	var l List[item]
	it := &item{}
	require.Zero(t, testing.AllocsPerRun(100, func() {
		l.Push(it, &it.node)
		l.Pop()
	}))
}
