package main

import (
	"context"
	"encoding/json"

	"github.com/rollcall-go/rollcall/presence"
)

// maskedMeta is what clients see of a [Meta]: that somebody has voted, and for
// which card, but not what. The values come out with the result only.
type maskedMeta struct {
	Joined int64       `json:"joined"`
	Vote   *maskedVote `json:"vote,omitempty"`
}

type maskedVote struct {
	Card int `json:"card"`
}

// mask is the route's Fetch: every presence_state and presence_diff goes through
// it on its way to the clients.
func mask(_ context.Context, _ string, list []presence.Presence) ([]presence.Presence, error) {
	masked := make([]presence.Presence, len(list))
	for i, p := range list {
		metas := make([]presence.Meta, len(p.Metas))
		for j, m := range p.Metas {
			metas[j] = presence.Meta{Ref: m.Ref, PrevRef: m.PrevRef, Data: maskMeta(m)}
		}
		masked[i] = presence.Presence{Key: p.Key, Metas: metas}
	}
	return masked, nil
}

func maskMeta(m presence.Meta) json.RawMessage {
	meta := decodeMeta(m)
	shown := maskedMeta{Joined: meta.Joined}
	if meta.Vote != nil {
		shown.Vote = &maskedVote{Card: meta.Vote.Card}
	}
	data, err := json.Marshal(shown)
	if err != nil { // numbers always marshal
		return json.RawMessage("{}")
	}
	return data
}
