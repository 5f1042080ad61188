package server_test

import (
	"context"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/channel/channeltest/refserver/server"
)

// pipes is a listener without a network, for bubbles.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func (l *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *pipes) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

func (l *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

func (l *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case l.conns <- far:
		return near, nil
	case <-l.done:
	case <-ctx.Done():
	}
	return nil, net.ErrClosed
}

// serve serves a reference server in the bubble, to the end of the test.
func serve(t *testing.T) *pipes {
	t.Helper()
	s, err := server.Start(t.Context(), server.Config{})
	require.NoError(t, err)
	l := &pipes{conns: make(chan net.Conn), done: make(chan struct{})}
	web := &http.Server{Handler: s}
	served := make(chan error, 1)
	go func() { served <- web.Serve(l) }()
	t.Cleanup(func() {
		require.NoError(t, s.Close(context.Background()))
		require.NoError(t, web.Close())
		require.ErrorIs(t, <-served, http.ErrServerClosed)
		synctest.Wait()
	})
	return l
}
