package httptransport

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/channel"
	"github.com/rollcall-go/rollcall/channel/wire"
)

// B012, B014: the session is asked for before Connect, which finds it in its
// info; what it fails with refuses the client.
func TestTheSessionIsAskedForBeforeConnect(t *testing.T) {
	var order []string
	var told []wire.Rejection
	var logged bytes.Buffer
	var fail error
	door := Door[string]{
		Transport: "pigeon",
		Session: func(r *http.Request) (any, error) {
			order = append(order, "session of "+r.URL.Path)
			if r.URL.Path == "/panic" {
				panic("boom")
			}
			return "ann", fail
		},
		Connect: func(_ context.Context, info wire.ConnectInfo) (string, error) {
			order = append(order, "connect")
			if info.Params.Has("panic") {
				panic("boom")
			}
			return info.Session.(string), nil
		},
		Reject: func(r wire.Rejection) { told = append(told, r) },
		Logger: slog.New(slog.NewTextHandler(&logged, nil)),
	}
	ask := func(path string) (string, error) {
		order, told = nil, nil
		r := httptest.NewRequest(http.MethodGet, path, nil)
		return door.Ask(r, ConnectInfo("pigeon", r, ""))
	}

	s, err := ask("/x")
	require.NoError(t, err)
	require.Equal(t, "ann", s)
	require.Equal(t, []string{"session of /x", "connect"}, order)
	require.Empty(t, told)

	for want, refusal := range map[int]error{403: errors.New("no store"), 429: &channel.ConnectError{Status: 429}} {
		fail = refusal
		_, err = ask("/x")
		require.Equal(t, refusal, err)
		require.Equal(t, []string{"session of /x"}, order)
		require.Equal(t, []wire.Rejection{{Cause: wire.CauseSession, Transport: "pigeon", Remote: "192.0.2.1:1234", Code: want, Err: refusal}}, told)
	}
	fail = nil

	refusal := &channel.ConnectError{}
	_, err = ask("/panic")
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, 500, refusal.Status)
	require.Len(t, told, 1)
	require.Contains(t, logged.String(), "doing=session panic=boom")
	_, err = ask("/x?panic=1")
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, 500, refusal.Status)
	require.Contains(t, logged.String(), "doing=connect panic=boom")
}

func TestNewConnectNamesWhatIsMissing(t *testing.T) {
	as := func(*channel.Conn) string { return "in" }
	_, err := NewConnect("pigeon", nil, nil, errors.New("Wings: none"), as)
	for _, fault := range []string{"pigeon: ", "endpoint is nil", "handler is nil", "Wings: none"} {
		require.ErrorContains(t, err, fault)
	}
	endpoint, err := channel.New(channel.Config{})
	require.NoError(t, err)
	defer func() { require.NoError(t, endpoint.Close(context.Background())) }()
	connect, err := NewConnect("pigeon", endpoint, mustHandler(channel.Handler{}), nil, as)
	require.NoError(t, err)
	s, err := connect(t.Context(), wire.ConnectInfo{})
	require.NoError(t, err)
	require.Equal(t, "in", s)
	s, err = connect(t.Context(), wire.ConnectInfo{Vsn: "9.0.0"})
	require.ErrorIs(t, err, wire.ErrVersion)
	require.Empty(t, s)
}

func TestPositive(t *testing.T) {
	var faults []error
	n, d, bad := 0, time.Second, -1
	Positive(&faults, "N", &n, 7)
	Positive(&faults, "D", &d, time.Minute)
	require.Empty(t, faults)
	Positive(&faults, "Bad", &bad, 7)
	require.EqualError(t, errors.Join(faults...), "Bad: -1 is negative")
	require.Equal(t, []any{7, time.Second, -1}, []any{n, d, bad})
}

// mustHandler checks a handler.
func mustHandler(h channel.Handler) *channel.Handler {
	checked, err := channel.NewHandler(h)
	if err != nil {
		panic(err)
	}
	return checked
}
