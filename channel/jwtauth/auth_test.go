package jwtauth

import (
	"context"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/channel"
	"github.com/rollcall-go/rollcall/channel/auth"
	"github.com/rollcall-go/rollcall/channel/wire"
)

// codes is a transport that tells the code it was closed with.
type codes chan int

func (codes) Send(...*wire.Frame)        {}
func (c codes) Close(code int, _ string) { c <- code }

func TestAConnectionLivesAsLongAsItsToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		authenticator, err := auth.New(auth.Config{Verifier: newVerifier(t)})
		require.NoError(t, err)
		e, err := channel.New(channel.Config{})
		require.NoError(t, err)
		text := signed(t, jwt.SigningMethodHS256, secret, jwt.MapClaims{"sub": "bob", "exp": time.Now().Add(time.Hour).Unix()}, nil)
		c, err := e.Connect(t.Context(), mustHandler(channel.Handler{Connect: authenticator.Connect}), wire.ConnectInfo{Params: url.Values{"token": {text}}})
		require.NoError(t, err)
		require.Equal(t, "user_socket:bob", c.ID())
		require.Equal(t, "bob", c.Value(auth.AssignUser))
		link := make(codes, 1)
		c.Start(link)
		time.Sleep(time.Hour - time.Millisecond)
		synctest.Wait()
		require.Empty(t, link)
		time.Sleep(time.Millisecond)
		synctest.Wait()
		require.Equal(t, wire.CloseGoingAway, <-link)

		_, err = e.Connect(t.Context(), mustHandler(channel.Handler{Connect: authenticator.Connect}), wire.ConnectInfo{Params: url.Values{"token": {text}}})
		require.ErrorIs(t, err, auth.ErrExpired)
		require.NoError(t, e.Close(context.Background()))
		authenticator.Close()
	})
}

// mustHandler checks a handler.
func mustHandler(h channel.Handler) *channel.Handler {
	checked, err := channel.NewHandler(h)
	if err != nil {
		panic(err)
	}
	return checked
}
