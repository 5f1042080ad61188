//go:build unix

package soak

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var waitLimit = flag.Duration("wait-limit", 30*time.Second, "how long anything may take that is not measured")

// replica is a process that runs a tracker, and what its watchers were told.
type replica struct {
	*process
	reading sync.WaitGroup

	mu     sync.Mutex
	news   chan struct{} // closed and made anew when something was told
	topics map[string]*folded
	answer told     // to the last question
	asked  int      // refreshes and questions that were not answered yet
	leaves []string // keys, since they were last asked for
	fault  error    // the first
}

// folded is what a watcher makes of a state and the diffs after it.
type folded struct {
	refs     map[string]string // ref -> key
	complete bool
}

func startReplica(t, life *testing.T, p part) *replica {
	t.Helper()
	r := &replica{process: spawn(t, life, p), news: make(chan struct{}), topics: map[string]*folded{}}
	r.reading.Go(r.read)
	life.Cleanup(func() {
		r.kill()
		r.reading.Wait()
	})
	return r
}

func (r *replica) do(t *testing.T, format string, args ...any) {
	t.Helper()
	_, err := fmt.Fprintf(r.stdin, format+"\n", args...)
	require.NoError(t, err, "%s is there", r.name)
}

// read takes what the replica tells until it ends.
func (r *replica) read() {
	in := json.NewDecoder(io.Reader(r.lines))
	for {
		var line told
		if in.Decode(&line) != nil {
			return
		}
		r.mu.Lock()
		switch {
		case line.Event != nil:
			r.fold(line.Event)
		default:
			r.answer = line
			r.asked--
		}
		close(r.news)
		r.news = make(chan struct{})
		r.mu.Unlock()
	}
}

// fold applies an event, which must be possible. mu is held.
func (r *replica) fold(e *event) {
	wrong := func(format string, args ...any) {
		if r.fault == nil {
			r.fault = fmt.Errorf("%s, %s: "+format, append([]any{r.name, e.Topic}, args...)...)
		}
	}
	f := r.topics[e.Topic]
	if e.State != nil {
		if f != nil {
			r.asked--
			if !maps.Equal(f.refs, e.State) {
				wrong("the diffs make %v, the state is %v", f.refs, e.State)
			}
		}
		r.topics[e.Topic] = &folded{refs: e.State, complete: e.Complete}
		return
	}
	for ref, key := range e.Leaves {
		if _, held := f.refs[ref]; !held {
			wrong("%s left and was not there", key)
		}
		delete(f.refs, ref)
		r.leaves = append(r.leaves, key)
	}
	for ref, key := range e.Joins {
		if _, held := f.refs[ref]; held {
			wrong("%s joined twice", key)
		}
		f.refs[ref] = key
	}
	f.complete = e.Complete
}

// await waits until holds, which is called under mu, says so.
func (r *replica) await(t *testing.T, holds func() bool, what func() string) {
	t.Helper()
	deadline := time.After(*waitLimit)
	for {
		r.mu.Lock()
		ok, news := holds(), r.news
		r.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-news:
		case <-deadline:
			r.mu.Lock()
			defer r.mu.Unlock()
			require.Fail(t, "not in time", "%s: %s", r.name, what())
		}
	}
}

// keys is who is in topic as the watcher knows, sorted. mu is held.
func (r *replica) keys(topic string) string {
	f := r.topics[topic]
	if f == nil {
		return "?"
	}
	keys := strings.Join(slices.Sorted(maps.Values(f.refs)), " ")
	if !f.complete {
		keys += " (incomplete)"
	}
	return keys
}

// awaitKeys waits until the watcher of topic knows just these keys, separated by
// spaces, and that this is complete.
func (r *replica) awaitKeys(t *testing.T, topic, keys string) {
	t.Helper()
	r.await(t,
		func() bool { return r.keys(topic) == keys },
		func() string { return fmt.Sprintf("%s has %q, not %q", topic, r.keys(topic), keys) })
}

// ask sends a question and waits for its answer, or all of them.
func (r *replica) ask(t *testing.T, question string) told {
	t.Helper()
	r.mu.Lock()
	r.asked = 1
	if question == "refresh" {
		r.asked = len(r.topics)
	}
	r.mu.Unlock()
	r.do(t, "%s", question)
	r.await(t, func() bool { return r.asked == 0 }, func() string { return "no answer to " + question })
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.answer
}

// refs is who is in topic, by ref.
func (r *replica) refs(topic string) map[string]string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.topics[topic].refs)
}

// left returns who was said to have left since the last call, sorted.
func (r *replica) left() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer func() { r.leaves = nil }()
	slices.Sort(r.leaves)
	return strings.Join(r.leaves, " ")
}
