package cookie

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	gorilla "github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/channel"
	"github.com/rollcall-go/rollcall/transport/longpoll"
	"github.com/rollcall-go/rollcall/transport/websocket"
)

// B013, B014: over both transports, from the cookie to the id of the connection.
func TestAUserOfAPhoenixApplicationConnects(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	endpoint, err := channel.New(channel.Config{})
	require.NoError(t, err)
	handler, err := channel.NewHandler(channel.Handler{Connect: func(_ context.Context, r *channel.ConnectRequest) error {
		session, _ := r.Info.Session.(map[string]any)
		user, ok := session["user_id"].(int64)
		if !ok {
			return errors.New("not logged in")
		}
		r.SetID(fmt.Sprintf("users:%d", user))
		return nil
	}})
	require.NoError(t, err)
	store := newStore(t)
	ws, err := websocket.New(endpoint, handler, websocket.Config{Session: store.Session})
	require.NoError(t, err)
	lp, err := longpoll.New(endpoint, handler, longpoll.Config{Session: store.Session})
	require.NoError(t, err)
	mux := http.NewServeMux()
	mux.Handle("/socket/websocket", ws)
	mux.Handle("/socket/longpoll", lp)
	server := httptest.NewServer(mux)
	defer func() {
		require.NoError(t, endpoint.Drain(ctx))
		require.NoError(t, ws.Close(ctx))
		require.NoError(t, lp.Close(ctx))
		server.Close()
		require.NoError(t, endpoint.Close(ctx))
	}()

	for _, c := range []struct {
		cookie, csrf string
		in           bool
	}{{signedCookie, csrfToken, true}, {signedCookie, csrfOldToken, false}, {"", csrfToken, false}} {
		before := len(endpoint.Connections())
		query, header := "?vsn=2.0.0&_csrf_token="+url.QueryEscape(c.csrf), http.Header{"Cookie": {"_app_key=" + c.cookie}}
		client, _, err := gorilla.DefaultDialer.DialContext(ctx, "ws"+strings.TrimPrefix(server.URL, "http")+"/socket/websocket"+query, header)
		require.Equal(t, c.in, err == nil, "%+v: %v", c, err)
		if err == nil {
			defer client.Close()
		}
		r := httptest.NewRequest(http.MethodGet, "/socket/longpoll"+query, nil)
		r.Header = header
		w := httptest.NewRecorder()
		lp.ServeHTTP(w, r)
		require.Equal(t, c.in, strings.Contains(w.Body.String(), `"status":410`), w.Body.String())
		if !c.in {
			require.Len(t, endpoint.Connections(), before)
			continue
		}
		require.Eventually(t, func() bool { return len(endpoint.Connections()) == before+2 }, 10*time.Second, time.Millisecond)
		for _, conn := range endpoint.Connections() {
			require.Equal(t, "users:7", conn.ID)
		}
	}
}
