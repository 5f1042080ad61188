package queue

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The queue behaves as a slice does, whatever is done to it.
func TestAQueueIsASlice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var q Queue[*int]
		var want []*int
		t.Repeat(map[string]func(*rapid.T){
			"push": func(t *rapid.T) {
				for n := rapid.IntRange(1, 20).Draw(t, "n"); n > 0; n-- {
					v := new(int)
					q.Push(v)
					want = append(want, v)
				}
			},
			"pop": func(t *rapid.T) {
				v, ok := q.Pop()
				require.Equal(t, len(want) > 0, ok)
				if ok {
					require.Same(t, want[0], v)
					want = want[1:]
				} else {
					require.Nil(t, v)
				}
			},
			"clear": func(t *rapid.T) {
				q.Clear()
				want = nil
				require.Zero(t, cap(q.items))
			},
			"": func(t *rapid.T) {
				require.Equal(t, len(want), q.Len())
				for i, v := range q.items {
					require.Equal(t, i < q.head, v == nil, "what was popped is not retained")
				}
			},
		})
	})
}

func TestAQueueThatIsNeverEmptyDoesNotGrow(t *testing.T) {
	var q Queue[int]
	for i := range 10 {
		q.Push(i)
	}
	for i := range 100_000 {
		q.Push(i)
		q.Pop()
	}
	require.Less(t, cap(q.items), 64)
}

func TestAQueueThatWasLongFreesItsMemoryWhenItIsEmpty(t *testing.T) {
	var q Queue[int]
	for i := range 10 * keep {
		q.Push(i)
	}
	for q.Len() > 0 {
		q.Pop()
	}
	require.Zero(t, cap(q.items))
	for i := range keep / 2 {
		q.Push(i)
	}
	for q.Len() > 0 {
		q.Pop()
	}
	require.NotZero(t, cap(q.items))
}
