package token

import (
	"errors"
	"fmt"

	"github.com/rollcall-go/rollcall/channel"
)

// EventAccessToken is the event with which clients renew, as Supabase's do: its
// payload is {"access_token": "..."}.
const EventAccessToken = "access_token"

// Renew gives a connection the life of another token, and its assigns. The
// token must be good, and of the same subject and id: ErrOther if it is not.
// When Renew fails all stays as it was, and the connection ends with its old
// token. It is called by a channel, for the whole connection. The error contains
// no part of the token.
func Renew(s *channel.Socket, token string) error { return renew(s.Conn(), token) }

func renew(c *channel.Conn, token string) error {
	l, ok := c.Value(assignLease).(*lease)
	if !ok {
		return fmt.Errorf("renew: %w", ErrNotAuthenticated)
	}
	admitted, err := l.auth.verify(token)
	if err != nil {
		return fmt.Errorf("renew: %w", err)
	}
	if admitted.subject != l.subject || admitted.id != l.id {
		return fmt.Errorf("renew: %w", ErrOther)
	}
	l.auth.mu.Lock()
	defer l.auth.mu.Unlock()
	switch {
	case l.auth.closed:
		return fmt.Errorf("renew: %w", ErrClosed)
	case l.ended:
		return fmt.Errorf("renew: %w: the connection ends", ErrExpired)
	}
	admitted.assign(c) // under the lock, so that assigns and life are of one token
	l.expires = admitted.claims.ExpiresAt
	l.auth.put(l)
	return nil
}

// HandleIn handles a client's [EventAccessToken]; handled is false for any other
// event. It answers {} or an error with a reason: "expired", "missing", "other
// user" or "invalid". A channel calls it first in its own HandleIn:
//
//	if result, handled := token.HandleIn(s, event, payload); handled {
//		return result
//	}
func HandleIn(s *channel.Socket, event string, payload channel.Payload) (result channel.Result, handled bool) {
	if event != EventAccessToken {
		return channel.Result{}, false
	}
	var p struct {
		Token string `json:"access_token"`
	}
	// What cannot be decoded is a missing token.
	_ = payload.Decode(&p)
	if err := Renew(s, p.Token); err != nil {
		return channel.Error(map[string]string{"reason": reason(err)}), true
	}
	return channel.OK(nil), true
}

// reason is what a client is told.
func reason(err error) string {
	switch {
	case errors.Is(err, ErrExpired):
		return "expired"
	case errors.Is(err, ErrMissing):
		return "missing"
	case errors.Is(err, ErrOther):
		return "other user"
	}
	return "invalid"
}
