package plug_test

import (
	"context"
	"fmt"
	"net/url"
	"time"

	"github.com/rollcall-go/rollcall/channel"
	"github.com/rollcall-go/rollcall/channel/auth"
	"github.com/rollcall-go/rollcall/channel/wire"
	"github.com/rollcall-go/rollcall/plug"
)

// A Phoenix application signed a user's id, and the user connects here.
func Example() {
	tokens, err := plug.NewTokens(plug.TokenConfig{
		Keys: plug.KeyConfig{Secrets: []string{"the secret_key_base of the Phoenix application, 64 bytes or more"}},
		Salt: "user socket",
	})
	if err != nil {
		panic(err)
	}
	authenticator, err := auth.New(auth.Config{Verifier: tokens})
	if err != nil {
		panic(err)
	}
	defer authenticator.Close()
	handler, err := channel.NewHandler(channel.Handler{Connect: authenticator.Connect})
	if err != nil {
		panic(err)
	}
	endpoint, err := channel.New(channel.Config{})
	if err != nil {
		panic(err)
	}
	defer endpoint.Close(context.Background())

	// Phoenix.Token.sign(conn, "user socket", 42)
	signed, err := tokens.Sign(time.Now(), 42, plug.Forever)
	if err != nil {
		panic(err)
	}

	// What a transport does:
	for _, text := range []string{signed, signed + "x", ""} {
		conn, err := endpoint.Connect(context.Background(), handler, wire.ConnectInfo{Params: url.Values{"token": {text}}})
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println(conn.ID(), conn.Value(auth.AssignUser))
	}
	// Output:
	// user_socket:42 42
	// channel: connection refused with 403: auth: invalid token: signature
	// channel: connection refused with 403: auth: missing token
}
