package longpoll

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/channel"
	"github.com/rollcall-go/rollcall/transport/intake"
)

func served(t *testing.T, cfg intake.Config) (*Transport, *intake.Intake, *bytes.Buffer, func()) {
	t.Helper()
	in, err := intake.New(cfg)
	require.NoError(t, err)
	log := &bytes.Buffer{}
	endpoint, err := channel.New(channel.Config{Logger: slog.New(slog.NewTextHandler(log, nil))})
	require.NoError(t, err)
	tr, err := New(endpoint, mustHandler(channel.Handler{}), Config{Intake: in})
	require.NoError(t, err)
	return tr, in, log, func() {
		closeTransport(t, tr)
		require.NoError(t, endpoint.Close(context.Background()))
	}
}

// Sessions wait for their turn to begin; polls of those that have begun do not.
func TestSessionsWaitForTheirTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr, in, log, end := served(t, intake.Config{MaxHandshakes: 1, MaxWaiting: 2})
		token := get(tr, "").Token
		blocker, err := in.Wait(httptest.NewRequest(http.MethodGet, "/", nil), nil)
		require.NoError(t, err)

		polled := asyncGet(t.Context(), tr, token)
		leaving, leave := context.WithCancel(t.Context())
		left := asyncGet(leaving, tr, "")
		synctest.Wait()
		waits := asyncGet(t.Context(), tr, "")
		synctest.Wait()
		require.Equal(t, 2, in.Stats().Waiting)

		crowded := get(tr, "")
		require.Equal(t, 503, crowded.HTTP)
		require.Equal(t, 500, crowded.Status, "clients come back after it")
		require.Contains(t, log.String(), `level=WARN msg="channel: rejected" cause=overloaded transport=longpoll remote=192.0.2.1:1234 limit=2 code=503`)
		leave()
		<-left
		require.Equal(t, 1, in.Stats().Waiting)
		blocker.End()
		require.Equal(t, 410, (<-waits).Status)
		require.Zero(t, in.Stats().Running, "a turn ends when the session has begun")

		blocker, err = in.Wait(httptest.NewRequest(http.MethodGet, "/", nil), nil)
		require.NoError(t, err)
		waits = asyncGet(t.Context(), tr, "")
		synctest.Wait()
		end()
		require.Equal(t, 503, (<-waits).HTTP)
		<-polled
		blocker.End()
		require.EqualValues(t, 3, tr.Stats().Refused)
	})
}

func TestSessionsOfAnAddressAboveTheLimitAreRefused429(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr, _, log, end := served(t, intake.Config{MaxPerAddress: 2})
		first := get(tr, "").Token
		second := get(tr, "").Token
		third := get(tr, "")
		require.Equal(t, 429, third.HTTP)
		require.Equal(t, 500, third.Status)
		require.Contains(t, log.String(), `level=WARN msg="channel: rejected" cause=address transport=longpoll remote=192.0.2.1:1234 limit=2 code=429`)
		require.Equal(t, 204, get(tr, first).Status)
		time.Sleep(11 * time.Second) // the second is not polled, and ends
		synctest.Wait()
		require.Equal(t, 410, get(tr, second).Status, "another has begun")
		require.Equal(t, 429, get(tr, "").HTTP)
		end()
	})
}

func TestRefusedSessionsOfAnAddressDoNotCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr, _, _, end := served(t, intake.Config{MaxPerAddress: 1})
		for range 3 {
			require.Equal(t, 403, do(t.Context(), tr, "GET", "/?vsn=9.0.0", "").Status)
		}
		require.Equal(t, 410, get(tr, "").Status)
		end()
	})
}
