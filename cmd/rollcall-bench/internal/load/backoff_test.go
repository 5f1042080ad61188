package load

import (
	"errors"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestBackoffIsThatOfPhoenixJS(t *testing.T) {
	ms := func(try int) int64 { return pause(reconnectAfter, try).Milliseconds() }
	var reconnects, rejoins []int64
	for try := range 12 {
		reconnects = append(reconnects, ms(try))
	}
	for try := range 5 {
		rejoins = append(rejoins, pause(rejoinAfter, try).Milliseconds())
	}
	require.Equal(t, []int64{10, 50, 100, 150, 200, 250, 500, 1000, 2000, 5000, 5000, 5000}, reconnects)
	require.Equal(t, []int64{1000, 2000, 5000, 10000, 10000}, rejoins)
}

func TestAClientRetriesToConnectUntilTheFleetFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(nil)
		defer f.close()
		nowhere := &url.URL{Scheme: "none", Host: "127.0.0.1:1"}
		began := time.Now()
		f.readers.Go(func() {
			time.Sleep(400 * time.Millisecond)
			f.fail(errors.New("enough"))
		})
		require.ErrorContains(t, f.reconnect(t.Context(), 0, 3, nowhere, nil), "enough")
		require.Equal(t, 400*time.Millisecond, time.Since(began))
		require.EqualValues(t, 3*4, f.redials.Load(), "after 10, 60, 160 and 310 ms")
	})
}

func TestOnlyAReplyToAJoinIsOverloaded(t *testing.T) {
	refusal := []byte(`{"status":"error","response":{"reason":"overloaded"}}`)
	require.True(t, overloaded(frame{ref: []byte(refJoin), payload: refusal}))
	require.False(t, overloaded(frame{ref: []byte(refPublish), payload: refusal}))
	require.False(t, overloaded(frame{ref: []byte(refJoin), payload: []byte(`{"status":"error","response":{"reason":"no"}}`)}))
}
