package auth

import (
	"errors"
	"fmt"

	"github.com/rollcall-go/rollcall/channel"
)

// Renew gives a socket's connection the life and the assigns of another token. The token
// must be genuine, and have the same subject and id, or Renew fails with ErrOther. If
// Renew fails, the connection keeps its old token. The error contains no part of the
// token.
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

// HandleIn renews for the event "access_token", which clients such as Supabase's send with
// the payload {"access_token": "..."}; handled is false for any other event. It replies {}
// or an error with a reason: "expired", "missing", "other user" or "invalid". A channel
// calls it first in its own HandleIn:
//
//	if result, handled := auth.HandleIn(s, event, payload); handled {
//		return result
//	}
func HandleIn(s *channel.Socket, event string, payload channel.Payload) (result channel.Result, handled bool) {
	if event != "access_token" {
		return channel.Result{}, false
	}
	var p struct {
		Token string `json:"access_token"`
	}
	// A payload that cannot be decoded is a missing token.
	_ = payload.Decode(&p)
	if err := Renew(s, p.Token); err != nil {
		return channel.Error(map[string]string{"reason": reason(err)}), true
	}
	return channel.OK(nil), true
}

// reason returns the reason that the client gets.
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
