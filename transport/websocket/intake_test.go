package websocket

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/channel/wire"
	"github.com/rollcall-go/rollcall/transport/intake"
)

func newIntake(t *testing.T, cfg intake.Config) *intake.Intake {
	t.Helper()
	in, err := intake.New(cfg)
	require.NoError(t, err)
	return in
}

// A handshake that waits for its turn counts as a connection; it is refused when
// too many wait and when the transport closes, and leaves when its client does.
func TestHandshakesWaitForTheirTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := newIntake(t, intake.Config{MaxHandshakes: 1, MaxWaiting: 2})
		transport, endpoint, log := rejecting(t, Config{Intake: in})
		ask := func(ctx context.Context) (w *httptest.ResponseRecorder, served chan struct{}) {
			w, served = httptest.NewRecorder(), make(chan struct{})
			go func() {
				defer close(served)
				transport.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/?vsn=9.0.0", nil).WithContext(ctx))
			}()
			synctest.Wait()
			return w, served
		}
		blocker, err := in.Wait(httptest.NewRequest(http.MethodGet, "/", nil), nil)
		require.NoError(t, err)

		leaving, leave := context.WithCancel(t.Context())
		_, left := ask(leaving)
		closed, isClosed := ask(t.Context())
		require.Equal(t, intake.Stats{Running: 1, Waiting: 2, Waited: 2}, in.Stats())
		require.Equal(t, 2, transport.Stats().Connections)
		crowded, _ := ask(t.Context())
		require.Equal(t, 503, crowded.Code)
		require.Equal(t, "too many clients are connecting, try again later", crowded.Body.String())
		require.Equal(t, intake.RetryAfter, crowded.Header().Get("Retry-After"))
		require.Contains(t, log.String(), `level=WARN msg="channel: rejected" cause=overloaded transport=websocket remote=192.0.2.1:1234 limit=2 code=503`)

		leave()
		<-left
		require.Equal(t, 1, transport.Stats().Connections)

		blocker.End() // and the turn comes: this version is not served
		<-isClosed
		require.Equal(t, 403, closed.Code)
		require.Zero(t, in.Stats().Running, "a turn ends with its handshake")

		blocker, err = in.Wait(httptest.NewRequest(http.MethodGet, "/", nil), nil)
		require.NoError(t, err)
		closed, isClosed = ask(t.Context())
		require.Zero(t, closed.Body.Len())
		closeTransport(t, transport)
		<-isClosed
		require.Equal(t, 503, closed.Code)
		require.Equal(t, "the server is shutting down", closed.Body.String())
		blocker.End()
		require.Zero(t, in.Stats().Running+in.Stats().Waiting)
		require.EqualValues(t, 4, transport.Stats().Refused)
		require.NoError(t, endpoint.Close(context.Background()))
	})
}

// Connections that are parked count, until they have gone.
func TestConnectionsOfAnAddressAboveTheLimitAreRefused429(t *testing.T) {
	fakes := make(chan *fakeConn, 3)
	told := &logBuffer{}
	in := newIntake(t, intake.Config{MaxPerAddress: 2})
	transport, server := serveLoopback(t, Config{Intake: in, Logger: slog.New(slog.NewTextHandler(told, nil))}, func(context.Context, wire.ConnectInfo) (channelConn, error) {
		s := newFake()
		fakes <- s
		return s, nil
	})
	first := dial(t, server, nil)
	dial(t, server, nil)
	one := <-fakes
	<-fakes
	refused := func() {
		t.Helper()
		status, _, body := ask(t, server, request("GET", "/", handshakeHeaders))
		require.Equal(t, http.StatusTooManyRequests, status)
		require.Equal(t, "too many connections from this address", body)
	}
	refused()
	require.Contains(t, told.String(), "msg=refused cause=address code=429")
	refused()
	require.Equal(t, 2, transport.Stats().Connections)

	require.NoError(t, first.Close())
	await(t, one.closed, "the end of the first connection")
	require.Eventually(t, func() bool { return transport.Stats().Connections == 1 }, 10*time.Second, time.Millisecond)
	dial(t, server, nil)
	<-fakes
	refused()
}

// A handshake that is refused gives its place back, as one that is upgraded does
// at its end.
func TestRefusedHandshakesOfAnAddressDoNotCount(t *testing.T) {
	transport, endpoint, _ := rejecting(t, Config{Intake: newIntake(t, intake.Config{MaxPerAddress: 1})})
	server := httptest.NewServer(transport)
	defer server.Close()
	for range 3 {
		status, _, _ := ask(t, server, request("GET", "/?as=eve", handshakeHeaders))
		require.Equal(t, 403, status)
		status, _, _ = ask(t, server, request("GET", "/", without("Upgrade")))
		require.Equal(t, 400, status)
	}
	for range 3 {
		client := dial(t, server, nil)
		require.NoError(t, client.Close())
		require.Eventually(t, func() bool { return transport.Stats().Connections == 0 }, 10*time.Second, time.Millisecond)
	}
	closeTransport(t, transport)
	require.NoError(t, endpoint.Close(context.Background()))
}
