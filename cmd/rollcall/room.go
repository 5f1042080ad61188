package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"github.com/rollcall-go/rollcall/channel"
	"github.com/rollcall-go/rollcall/presence"
)

// Limits of what clients say, in bytes.
const (
	maxKey   = 255     // that of presence
	maxMeta  = 8 << 10 // that of presence, after encoding
	maxEvent = 255     // that of a binary frame
)

// listTimeout is how long a list waits for replicas that have not told yet what
// they have. It holds up this client's channel only.
const listTimeout = 500 * time.Millisecond

// room is the channel of one client in one room.
type room struct {
	broadcastRate int // a second; static

	// static after Join
	key    string
	meta   json.RawMessage
	joined int64 // when, in Unix ns: a time.Time is three times as large

	broadcasts *rate.Limiter // owned by the callbacks; nil before the first one
}

// track is what HandleInfo is sent by Join: track the client now.
type track struct{}

// Join admits everybody who says who they are. Everything that could keep the
// client from being tracked is checked here, where it can still be refused.
func (r *room) Join(_ context.Context, s *channel.Socket, params channel.Payload) (any, error) {
	var p struct {
		Key  json.RawMessage `json:"key"`
		Meta json.RawMessage `json:"meta"`
	}
	if err := params.Decode(&p); err != nil {
		return nil, channel.Refuse(`the payload must be an object: {"key": "...", "meta": {...}}`)
	}
	if missing(p.Key) {
		return nil, channel.Refuse(`"key" is missing: a string that says who is present`)
	}
	if err := json.Unmarshal(p.Key, &r.key); err != nil || r.key == "" || len(r.key) > maxKey {
		return nil, channel.Refuse(fmt.Sprintf(`"key" must be a string of 1 to %d bytes`, maxKey))
	}
	if missing(p.Meta) {
		p.Meta = json.RawMessage("{}")
	}
	var err error
	if r.meta, err = checkMeta(p.Meta); err != nil {
		return nil, channel.Refuse(err.Error())
	}
	r.joined = time.Now().UnixNano()
	s.Send(track{})
	return nil, nil
}

// missing reports whether a field was left out; null is left out as well.
func missing(field json.RawMessage) bool { return len(field) == 0 || string(field) == "null" }

// checkMeta returns the meta as presence would encode it, or what is wrong with
// it, in words for the client.
func checkMeta(meta json.RawMessage) (json.RawMessage, error) {
	if meta[0] != '{' {
		return nil, errors.New(`"meta" must be an object`)
	}
	encoded, err := json.Marshal(meta)
	if err != nil {
		return nil, errors.New(`"meta" must be an object`)
	}
	if len(encoded) > maxMeta {
		return nil, fmt.Errorf(`"meta" is too large: %d bytes, at most %d are allowed`, len(encoded), maxMeta)
	}
	return encoded, nil
}

// HandleInfo does what comes after the join: the state first, so that the
// client's own entry comes by diff.
func (r *room) HandleInfo(s *channel.Socket, _ any) channel.Result {
	if err := s.PushPresenceState(); err != nil {
		return failed(err)
	}
	if _, err := s.Track(r.key, r.meta); err != nil {
		return failed(err)
	}
	return channel.NoReply()
}

// failed ends the channel so that its client joins again, with growing pauses:
// what can fail after the join (the room is full) may pass.
func failed(err error) channel.Result {
	if errors.Is(err, channel.ErrClosed) {
		return channel.NoReply() // the client has gone; so has the channel
	}
	return channel.Crash(err)
}

// HandleIn answers the events that the package documentation lists.
func (r *room) HandleIn(s *channel.Socket, event string, payload channel.Payload) channel.Result {
	var response any
	var err error
	switch event {
	case "update_meta":
		response, err = r.updateMeta(s, payload)
	case "untrack":
		err = s.Untrack(r.key)
	case "broadcast":
		err = r.broadcast(s, payload)
	case "list":
		response, err = r.list(s)
	default:
		err = fmt.Errorf("unknown event %.100q: there are broadcast, list, untrack and update_meta", event)
	}
	if err != nil {
		return channel.Error(map[string]string{"reason": err.Error()})
	}
	return channel.OK(response)
}

func (r *room) updateMeta(s *channel.Socket, payload channel.Payload) (any, error) {
	var p struct {
		Meta json.RawMessage `json:"meta"`
	}
	if err := payload.Decode(&p); err != nil {
		return nil, errors.New(`the payload must be an object: {"meta": {...}}`)
	}
	if missing(p.Meta) {
		return nil, errors.New(`"meta" is missing: an object`)
	}
	meta, err := checkMeta(p.Meta)
	if err != nil {
		return nil, err
	}
	ref, err := s.Update(r.key, presence.Replace(meta))
	if errors.Is(err, presence.ErrNotTracked) {
		return nil, errors.New("not tracked any more: join again")
	}
	if err != nil {
		return nil, err
	}
	return map[string]string{"phx_ref": ref}, nil
}

func (r *room) broadcast(s *channel.Socket, payload channel.Payload) error {
	if !r.mayBroadcast() { // before anything is done about what it says
		return fmt.Errorf("too many broadcasts: at most %d a second", r.broadcastRate)
	}
	var p struct {
		Event   string          `json:"event"`
		Payload json.RawMessage `json:"payload"`
	}
	if err := payload.Decode(&p); err != nil {
		return errors.New(`the payload must be an object: {"event": "...", "payload": {...}}`)
	}
	if missing(p.Payload) {
		p.Payload = json.RawMessage("{}")
	}
	switch {
	case p.Event == "":
		return errors.New(`"event" is missing: a string`)
	case len(p.Event) > maxEvent:
		return fmt.Errorf(`"event" must be a string of 1 to %d bytes`, maxEvent)
	case strings.HasPrefix(p.Event, "phx_"), strings.HasPrefix(p.Event, "presence_"):
		return fmt.Errorf(`"event" must not begin with "phx_" or "presence_", which are the protocol's own: %q does`, p.Event)
	case p.Payload[0] != '{':
		return errors.New(`"payload" must be an object`)
	}
	switch err := s.Broadcast(p.Event, p.Payload); {
	case errors.Is(err, channel.ErrTooLarge):
		return errors.New(`"payload" is too large for other replicas: only the clients of this one got it`)
	case err != nil:
		return fmt.Errorf("only the clients of this replica got it: %w", err)
	}
	return nil
}

// mayBroadcast takes one of the broadcasts that the client has left. Each goes to
// everybody in the room, so that what one client may say to the server is more
// than what it may have the server say to a thousand others. Who joins begins with
// a fifth of a second's, not with two seconds': to join again is no way to more.
func (r *room) mayBroadcast() bool {
	now := time.Now()
	if r.broadcasts == nil {
		most, perSecond := 2*r.broadcastRate, float64(r.broadcastRate)
		earned := max(1, perSecond*(startSeconds+now.Sub(time.Unix(0, r.joined)).Seconds()))
		r.broadcasts = rate.NewLimiter(rate.Limit(perSecond), most)
		r.broadcasts.AllowN(now, most-int(min(earned, float64(most))))
	}
	return r.broadcasts.AllowN(now, 1)
}

// startSeconds is how many seconds' broadcasts a client begins with.
const startSeconds = 0.2

// list is everybody in the room, as far as is known in listTimeout.
func (r *room) list(s *channel.Socket) (any, error) {
	ctx, cancel := context.WithTimeout(context.Background(), listTimeout)
	defer cancel()
	list, err := s.Endpoint().Presence().List(ctx, s.Topic())
	if err != nil {
		return nil, err
	}
	return json.RawMessage(list.JSON()), nil
}
