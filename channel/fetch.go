package channel

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/rollcall-go/rollcall/channel/internal/jsontext"
	"github.com/rollcall-go/rollcall/presence"
)

// What went wrong with a Fetch, for the log.
var (
	errFetchHangs   = errors.New("a call that was given up has not returned")
	errFetchCrowded = errors.New("Config.MaxFetches others are running")
	errFetchChanged = errors.New("other keys or Refs than it was given")
)

// fetcher calls the Fetch of a route for one topic. It is for one caller at a
// time.
type fetcher struct {
	// static
	endpoint *Endpoint
	route    *Route
	topic    string

	// hangs: a call that was given up still runs. There is never a second one.
	hangs atomic.Bool
	// failing, owned by the caller: so did the last call, which was logged.
	failing bool
}

// present is what clients are shown of a list, and whether Fetch had its say.
// Where it failed they see empty metas, so that what Fetch may be there to mask
// does not get out, and who is there is right all the same; or the metas as
// they are, where it only adds.
func (f *fetcher) present(list []presence.Presence) (shown []presence.Presence, ok bool) {
	if len(list) == 0 {
		return list, true
	}
	shown, err := f.fetch(context.Background(), list)
	if err == nil {
		f.failing = false
		return shown, true
	}
	e := f.endpoint
	e.counters.fetchFailures.Add(1)
	if !f.failing {
		f.failing = true
		e.logger.Warn("channel: Fetch failed, clients do without", "topic", f.topic, "presences", len(list), "error", err)
	}
	if f.route.FetchOnlyAdds {
		return list, false
	}
	return emptied(list), false
}

// fetch calls Fetch and waits for it, up to Config.FetchTimeout. A call that
// takes longer is given up; Close waits for it. Something holds the endpoint's
// running above zero.
func (f *fetcher) fetch(ctx context.Context, list []presence.Presence) ([]presence.Presence, error) {
	if f.hangs.Load() {
		return nil, errFetchHangs
	}
	e := f.endpoint
	ctx, cancel := context.WithTimeout(ctx, e.config.FetchTimeout)
	defer cancel()
	select {
	case e.fetches <- struct{}{}:
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", errFetchCrowded, ctx.Err())
	}
	type answer struct {
		list []presence.Presence
		err  error
	}
	done := make(chan answer, 1)
	f.hangs.Store(true)
	e.running.Go(func() {
		defer func() { <-e.fetches }()
		shown, err := f.call(ctx, list)
		f.hangs.Store(false)
		done <- answer{shown, err}
	})
	select {
	case a := <-done:
		return a.list, a.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (f *fetcher) call(ctx context.Context, list []presence.Presence) (shown []presence.Presence, err error) {
	defer func() {
		if v := recover(); v != nil {
			f.endpoint.logPanic("Fetch", v, "topic", f.topic)
			shown, err = nil, fmt.Errorf("%w: %v", errPanic, v)
		}
	}()
	if shown, err = f.route.Fetch(ctx, f.topic, list); err != nil {
		return nil, err
	}
	return checkFetched(list, shown)
}

// checkFetched makes sure that what Fetch returned can be sent: the same keys
// and Refs in the same order, and JSON. Fields are encoded here, once.
func checkFetched(list, shown []presence.Presence) ([]presence.Presence, error) {
	if len(shown) != len(list) {
		return nil, fmt.Errorf("%w: %d keys instead of %d", errFetchChanged, len(shown), len(list))
	}
	var copied bool
	for i, p := range shown {
		before := list[i]
		if p.Key != before.Key || len(p.Metas) != len(before.Metas) {
			return nil, fmt.Errorf("%w: %q with %d metas instead of %q with %d", errFetchChanged, p.Key, len(p.Metas), before.Key, len(before.Metas))
		}
		for j, meta := range p.Metas {
			old := before.Metas[j]
			if meta.Ref != old.Ref {
				return nil, fmt.Errorf("%w: %q under %q instead of %q", errFetchChanged, meta.Ref, p.Key, old.Ref)
			}
			if !sameBytes(meta.Data, old.Data) && !isObject(meta.Data) {
				return nil, fmt.Errorf("the Data of a meta under %q is no JSON object", p.Key)
			}
		}
		if len(p.Fields) == 0 {
			continue
		}
		fields, err := encodeFields(p.Fields)
		if err != nil {
			return nil, fmt.Errorf("under %q: %w", p.Key, err)
		}
		if !copied { // it may be list itself
			shown, copied = slices.Clone(shown), true
		}
		shown[i].Fields = fields
	}
	return shown, nil
}

func isObject(data []byte) bool { return len(data) > 0 && data[0] == '{' && json.Valid(data) }

func sameBytes(a, b []byte) bool {
	return len(a) == len(b) && len(a) > 0 && &a[0] == &b[0]
}

func encodeFields(fields map[string]any) (map[string]any, error) {
	encoded := make(map[string]any, len(fields))
	for name, value := range fields {
		if name == "metas" {
			return nil, errors.New(`a field is named "metas"`)
		}
		text, err := jsontext.Marshal(value)
		if err != nil {
			return nil, fmt.Errorf("field %q: %w", name, err)
		}
		encoded[name] = json.RawMessage(text)
	}
	return encoded, nil
}

func emptied(list []presence.Presence) []presence.Presence {
	out := make([]presence.Presence, len(list))
	for i, p := range list {
		metas := make([]presence.Meta, len(p.Metas))
		for j, meta := range p.Metas {
			metas[j] = presence.Meta{Ref: meta.Ref, PrevRef: meta.PrevRef, Data: json.RawMessage("{}")}
		}
		out[i] = presence.Presence{Key: p.Key, Metas: metas}
	}
	return out
}

// presentList is present for a list.
func (f *fetcher) presentList(l *presence.List) (*presence.List, bool) {
	shown, ok := f.present(l.Presences)
	return &presence.List{Topic: l.Topic, Presences: shown, Complete: l.Complete}, ok
}

// presentDiff is present for a diff: one call for both of its sides. A key that
// is in both has the metas of its leave, then those of its join.
func (f *fetcher) presentDiff(d presence.Diff) presence.Diff {
	both := make([]presence.Presence, 0, len(d.Joins)+len(d.Leaves))
	leaves := make([]int, 0, cap(both)) // how many of the metas are of the leave
	for i, j := 0, 0; i < len(d.Leaves) || j < len(d.Joins); {
		order := 0
		switch {
		case i == len(d.Leaves):
			order = 1
		case j == len(d.Joins):
			order = -1
		default:
			order = strings.Compare(d.Leaves[i].Key, d.Joins[j].Key)
		}
		switch {
		case order < 0:
			both, leaves = append(both, d.Leaves[i]), append(leaves, len(d.Leaves[i].Metas))
			i++
		case order > 0:
			both, leaves = append(both, d.Joins[j]), append(leaves, 0)
			j++
		default:
			both = append(both, presence.Presence{Key: d.Joins[j].Key, Metas: slices.Concat(d.Leaves[i].Metas, d.Joins[j].Metas)})
			leaves = append(leaves, len(d.Leaves[i].Metas))
			i, j = i+1, j+1
		}
	}
	shown, _ := f.present(both)
	out := presence.Diff{Joins: make([]presence.Presence, 0, len(d.Joins)), Leaves: make([]presence.Presence, 0, len(d.Leaves))}
	for i, p := range shown {
		if left := p.Metas[:leaves[i]]; len(left) > 0 {
			out.Leaves = append(out.Leaves, presence.Presence{Key: p.Key, Metas: left, Fields: p.Fields})
		}
		if joined := p.Metas[leaves[i]:]; len(joined) > 0 {
			out.Joins = append(out.Joins, presence.Presence{Key: p.Key, Metas: joined, Fields: p.Fields})
		}
	}
	return out
}

// ListPresence returns who is in a topic as the clients of the handler's route
// for it see them: without those who are hidden, and as its Fetch made them,
// which is called once (row B163). It waits as [presence.Tracker.List] does, and
// its errors are that one's, ErrNoPresence, ErrClosed and errFetch: there is no
// list that Fetch has not made.
func (e *Endpoint) ListPresence(ctx context.Context, h *Handler, topic string) (*presence.List, error) {
	list, shown, err := e.fetchPresence(ctx, h, topic, func(list *presence.List) []presence.Presence { return list.Presences })
	if err != nil {
		return nil, fmt.Errorf("list %q: %w", topic, err)
	}
	return &presence.List{Topic: topic, Presences: shown, Complete: list.Complete}, nil
}

// GetPresence is ListPresence for one key; ok is false, and Fetch is not called,
// when it is not there (row B164).
func (e *Endpoint) GetPresence(ctx context.Context, h *Handler, topic, key string) (p presence.Presence, ok bool, err error) {
	_, shown, err := e.fetchPresence(ctx, h, topic, func(list *presence.List) []presence.Presence {
		if p, ok := list.Get(key); ok {
			return []presence.Presence{p}
		}
		return nil
	})
	if err != nil {
		return p, false, fmt.Errorf("get %q in %q: %w", key, topic, err)
	}
	if len(shown) == 0 {
		return p, false, nil
	}
	return shown[0], true, nil
}

func (e *Endpoint) fetchPresence(ctx context.Context, h *Handler, topic string, pick func(*presence.List) []presence.Presence) (*presence.List, []presence.Presence, error) {
	if e.Presence() == nil {
		return nil, nil, ErrNoPresence
	}
	if !e.hold() {
		return nil, nil, ErrClosed
	}
	defer e.running.Done()
	list, err := e.Presence().List(ctx, topic)
	if err != nil {
		return nil, nil, err
	}
	list = list.Visible()
	picked := pick(list)
	route := h.route(topic)
	if route == nil || route.Fetch == nil || len(picked) == 0 {
		return list, picked, nil
	}
	f := fetcher{endpoint: e, route: route, topic: topic}
	shown, err := f.fetch(ctx, picked)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", errFetch, err)
	}
	return list, shown, nil
}

// ListPresence is [Endpoint.ListPresence] of the channel's topic.
func (s *Socket) ListPresence(ctx context.Context) (*presence.List, error) {
	return s.Endpoint().ListPresence(ctx, s.m.conn.handler, s.m.topic)
}

// GetPresence is [Endpoint.GetPresence] in the channel's topic.
func (s *Socket) GetPresence(ctx context.Context, key string) (p presence.Presence, ok bool, err error) {
	return s.Endpoint().GetPresence(ctx, s.m.conn.handler, s.m.topic, key)
}
