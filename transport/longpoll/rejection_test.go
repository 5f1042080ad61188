package longpoll

import (
	"bytes"
	"context"
	"encoding/base64"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/channel"
)

// Every refusal, and every end of a session that its client is to blame for:
// what the client is told, and what the log says.
func TestRejectionsAreToldToTheClientAndTheLog(t *testing.T) {
	const line = `level=WARN msg="channel: rejected" cause=`
	const who = ` transport=longpoll remote=192.0.2.1:1234`
	begin := func(t *testing.T, tr *Transport) string { return connectAs(t, tr, "bob") }
	join := func(t *testing.T, tr *Transport) string {
		token := begin(t, tr)
		require.Len(t, ask(t, tr, token, `["1","1","echo:a","phx_join",{}]`), 1)
		return token
	}
	for _, c := range []struct {
		name   string
		cfg    Config
		does   func(*testing.T, *Transport) answer
		http   int
		status int
		log    string
	}{
		{"method", Config{}, func(t *testing.T, tr *Transport) answer { return do(t.Context(), tr, "PUT", "/", "") }, 400, 0, line + `handshake` + who + ` code=400 error="method \"PUT\""`},
		{"origin", Config{}, func(t *testing.T, tr *Transport) answer {
			return do(t.Context(), tr, "GET", "/?vsn=2.0.0", "", "Origin: http://evil.com")
		}, 200, 403, line + `origin` + who + ` code=403 error="origin \"http://evil.com\" at host \"example.com\""`},
		{"version", Config{}, func(t *testing.T, tr *Transport) answer { return do(t.Context(), tr, "GET", "/?vsn=9.0.0", "") }, 200, 403, line + `version` + who + ` code=403`},
		{"full", Config{MaxSessions: 1}, func(t *testing.T, tr *Transport) answer {
			begin(t, tr)
			return get(tr, "")
		}, 503, 500, line + `connections` + who + ` limit=1 code=503`},
		{"closing", Config{}, func(t *testing.T, tr *Transport) answer {
			require.NoError(t, tr.Close(t.Context()))
			return get(tr, "")
		}, 503, 500, `level=INFO msg="channel: rejected" cause=draining` + who + ` code=503`},
		{"body", Config{MaxBody: 100}, func(t *testing.T, tr *Transport) answer {
			return post(tr, begin(t, tr), strings.Repeat("[", 101))
		}, 400, 0, line + `frame_size` + who + ` id=users:bob limit=100 code=400`},
		{"message", Config{MaxFrame: 100}, func(t *testing.T, tr *Transport) answer {
			return post(tr, begin(t, tr), strings.Repeat("[", 101))
		}, 400, 0, line + `frame_size` + who + ` id=users:bob limit=100 code=400`},
		{"base64", Config{}, func(t *testing.T, tr *Transport) answer { return post(tr, begin(t, tr), "!") }, 500, 0, line + `malformed` + who + ` id=users:bob code=500 error="longpoll: a line`},
		{"malformed", Config{}, func(t *testing.T, tr *Transport) answer { return post(tr, begin(t, tr), "[") }, 200, 408, line + `malformed` + who + ` id=users:bob code=1011 error=`},
		{"malformed bytes", Config{}, func(t *testing.T, tr *Transport) answer {
			return post(tr, begin(t, tr), base64.StdEncoding.EncodeToString([]byte{9}))
		}, 200, 408, line + `malformed` + who + ` id=users:bob code=1011 error=`},
		{"not UTF-8", Config{}, func(t *testing.T, tr *Transport) answer { return post(tr, begin(t, tr), "[\"\xff\"]") }, 200, 408, line + `text` + who + ` id=users:bob code=1007`},
		{"bytes for it", Config{}, func(t *testing.T, tr *Transport) answer {
			token := join(t, tr)
			post(tr, token, `["1","2","echo:a","binary",{}]`)
			synctest.Wait()
			return get(tr, token)
		}, 200, 410, `level=ERROR msg="channel: rejected" cause=binary` + who + ` id=users:bob error=`},
		{"flood", Config{}, func(t *testing.T, tr *Transport) answer {
			token := begin(t, tr)
			batch := slices.Repeat([]string{`[null,"1","phoenix","heartbeat",{}]`}, 100)
			for range 200 {
				require.Equal(t, 200, post(tr, token, batch...).Status)
				get(tr, token)
			}
			return post(tr, token, batch...)
		}, 200, 408, line + `flood` + who + ` id=users:bob limit=10000 code=1013`},
		{"slow", Config{BufferBytes: 200}, func(t *testing.T, tr *Transport) answer {
			token := join(t, tr)
			for range 5 {
				post(tr, token, `["1","2","echo:a","ping",{}]`)
			}
			synctest.Wait()
			return get(tr, token)
		}, 200, 410, line + `slow` + who + ` id=users:bob limit=200`},
		{"silent", Config{}, func(t *testing.T, tr *Transport) answer {
			token := begin(t, tr)
			time.Sleep(20 * time.Second)
			return get(tr, token)
		}, 200, 410, `level=INFO msg="channel: rejected" cause=idle` + who + ` id=users:bob limit=15s`},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				endpoint, err := channel.New(channel.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
				require.NoError(t, err)
				tr, err := New(endpoint, mustHandler(channel.Handler{
					Connect: func(_ context.Context, c *channel.ConnectRequest) error { c.SetID("users:bob"); return nil },
					Routes:  []channel.Route{{Pattern: "echo:*", New: func() channel.Channel { return &echo{make(chan string, 1)} }}},
				}), c.cfg)
				require.NoError(t, err)
				a := c.does(t, tr)
				require.Equal(t, c.http, a.HTTP)
				require.Equal(t, c.status, a.Status)
				synctest.Wait()
				require.Contains(t, log.String(), c.log)
				require.Equal(t, 1, strings.Count(log.String(), "channel: rejected"), "once: %s", log.String())
				closeTransport(t, tr)
				require.NoError(t, endpoint.Close(context.Background()))
			})
		})
	}
}

// channel.Conn.Close ends the client: long polling has no close codes.
func TestASessionThatTheApplicationClosesIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var conns []*channel.Conn
		endpoint, err := channel.New(channel.Config{})
		require.NoError(t, err)
		tr, err := New(endpoint, mustHandler(channel.Handler{Connect: func(_ context.Context, c *channel.ConnectRequest) error {
			conns = append(conns, c.Conn)
			if len(conns) == 3 {
				c.Close(4001, "not now")
			}
			return nil
		}}), Config{})
		require.NoError(t, err)
		first := get(tr, "").Token
		conns[0].Close(4001, "not now")
		synctest.Wait()
		second := get(tr, first)
		require.Equal(t, 410, second.Status)
		require.NotEqual(t, first, second.Token)
		require.Equal(t, 204, get(tr, second.Token).Status, "that one lives")
		third := get(tr, "")
		synctest.Wait()
		require.Equal(t, 410, get(tr, third.Token).Status, "closed before it began")
		closeTransport(t, tr)
		require.NoError(t, endpoint.Close(context.Background()))
	})
}
