package server

import (
	"context"
	"encoding/json"
	"maps"
	"slices"

	"github.com/rollcall-go/rollcall/channel"
	"github.com/rollcall-go/rollcall/presence"
)

// room tracks its user.
type room struct {
	meta       any
	trackFirst bool
}

func (c *room) Join(_ context.Context, s *channel.Socket, params channel.Payload) (any, error) {
	var p struct {
		Meta       any  `json:"meta"`
		TrackFirst bool `json:"track_first"`
	}
	must(params.Decode(&p))
	c.meta, c.trackFirst = p.Meta, p.TrackFirst
	s.Send(afterJoin{})
	return nil, nil
}

func (c *room) HandleInfo(s *channel.Socket, _ any) channel.Result {
	track := func() {
		_, err := s.Track(user(s), c.meta)
		must(err)
	}
	if c.trackFirst {
		track()
	}
	must(s.PushPresenceState())
	if !c.trackFirst {
		track()
	}
	return channel.NoReply()
}

func (c *room) HandleIn(s *channel.Socket, event string, payload channel.Payload) channel.Result {
	var p struct {
		Key  string `json:"key"`
		Meta any    `json:"meta"`
	}
	must(payload.Decode(&p))
	answer := func(ref string, err error) channel.Result {
		if err != nil {
			return channel.Error(map[string]any{"reason": err.Error()})
		}
		return channel.OK(map[string]any{"phx_ref": ref})
	}
	switch event {
	case "update_meta":
		return answer(s.Update(user(s), presence.Replace(p.Meta)))
	case "track":
		return answer(s.Track(p.Key, p.Meta))
	case "untrack":
		must(s.Untrack(user(s)))
		return channel.OK(nil)
	case "list":
		return channel.OK(json.RawMessage(s.Endpoint().Presence().Peek(s.Topic()).JSON()))
	case "msg":
		must(s.Broadcast("msg", payload))
		return channel.NoReply()
	}
	panic("no clause for " + event) // crash, too
}

// party is a planning poker as a workshop wrote it, with its traps: each client
// deals from a deck of its own, and a vote may be counted before others know of
// the new card.
type party struct{ cards int }

func (c *party) Join(_ context.Context, s *channel.Socket, _ channel.Payload) (any, error) {
	s.Send(afterJoin{})
	return nil, nil
}

func (c *party) HandleInfo(s *channel.Socket, _ any) channel.Result {
	must(s.PushPresenceState())
	_, err := s.Track(user(s), map[string]any{"points": nil})
	must(err)
	return channel.NoReply()
}

func (c *party) HandleIn(s *channel.Socket, event string, payload channel.Payload) channel.Result {
	switch event {
	case "start_pointing", "next_card":
		which, title := "first", "First card"
		if c.cards%2 == 1 {
			which, title = "second", "Second card"
		}
		c.cards++
		must(s.Broadcast("new_card", map[string]any{"card": map[string]any{
			"title": title, "description": "Acceptance criteria of the " + which + " card",
		}}))
		return channel.OK(nil)
	case "user_estimated":
		var p struct{ Points int }
		must(payload.Decode(&p))
		_, err := s.Update(user(s), presence.Replace(map[string]any{"points": p.Points}))
		must(err)
		tally(s)
		return channel.NoReply()
	}
	panic("no clause for " + event)
}

// tally tells who has won, once everybody has voted.
func tally(s *channel.Socket) {
	votes := map[int]int{}
	for _, p := range s.Endpoint().Presence().Peek(s.Topic()).Presences {
		var meta struct{ Points *int }
		must(p.Metas[0].Decode(&meta))
		if meta.Points == nil {
			return
		}
		votes[*meta.Points]++
	}
	most := slices.Max(slices.Collect(maps.Values(votes)))
	var winners []int
	for _, points := range slices.Sorted(maps.Keys(votes)) {
		if votes[points] == most {
			winners = append(winners, points)
		}
	}
	if len(winners) == 1 {
		must(s.Broadcast("winner", map[string]any{"points": winners[0]}))
	} else {
		must(s.Broadcast("tie", map[string]any{"points": winners}))
	}
}

func (c *party) Intercept() []string { return []string{"new_card"} }

func (c *party) HandleOut(s *channel.Socket, event string, payload channel.Payload) channel.Result {
	_, err := s.Update(user(s), presence.Replace(map[string]any{"points": nil}))
	must(err)
	must(s.Push(event, payload))
	return channel.NoReply()
}
