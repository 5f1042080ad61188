package channel

import (
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/channel/wire"
)

// replyHook is a link that calls hook while it is given the first frame, which
// is the answer to the join.
type replyHook struct {
	testLink
	once sync.Once
	hook func()
}

func (l *replyHook) Send(frames ...*wire.Frame) {
	for _, f := range frames {
		l.testLink.Send(f)
		l.once.Do(l.hook)
	}
}

// A client that has the answer to its join gets every broadcast from then on,
// however soon the next one comes. In real time: the broadcast waits on a mutex.
func TestNoBroadcastIsLostRightAfterTheJoinsAnswer(t *testing.T) {
	e, err := New(Config{})
	require.NoError(t, err)
	conn, err := e.Connect(t.Context(), referenceHandler(t), wire.ConnectInfo{Params: url.Values{"vsn": {"2.0.0"}, "user": {"a"}}})
	require.NoError(t, err)
	sent := make(chan error, 1)
	link := &replyHook{hook: func() {
		returned := make(chan struct{})
		go func() {
			sent <- e.LocalBroadcast("echo:a", "shout", map[string]int{"x": 1})
			close(returned)
		}()
		select {
		case <-returned: // it did not wait for us; or
		case <-time.After(50 * time.Millisecond): // it does, as it should
		}
	}}
	conn.Start(link)
	require.Nil(t, conn.Receive(false, []byte(`["1","1","echo:a","phx_join",{}]`)))
	require.NoError(t, <-sent)
	link.mu.Lock()
	var frames []string
	for _, f := range link.frames {
		frames = append(frames, string(f.Data))
	}
	link.mu.Unlock()
	require.Len(t, frames, 2)
	require.Equal(t, `[null,null,"echo:a","shout",{"x":1}]`, frames[1])
	conn.Closed(wire.ReasonClosed)
	require.NoError(t, e.Close(t.Context()))
}
