package longpoll

import (
	"io"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

// What clients have sent of bodies that are not complete is held, so it is
// bounded for all of them together.
func TestBodiesThatAreBeingReadAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Config{MaxBodies: 250})
		token := connect(t, r)
		var slow []*io.PipeWriter
		for range 2 {
			body, client := io.Pipe()
			slow = append(slow, client)
			go r.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "/?token="+token, body))
			_, err := io.WriteString(client, strings.Repeat(" ", 100))
			require.NoError(t, err)
		}
		synctest.Wait()
		a := post(r, token, "["+strings.Repeat(" ", 60)+"]")
		require.Equal(t, 503, a.HTTP)
		require.Equal(t, 500, a.Status, "clients come back after it")
		require.Equal(t, 200, post(r, token, "["+strings.Repeat(" ", 40)+"]").Status, "what fits is taken")
		for _, client := range slow {
			client.CloseWithError(io.ErrUnexpectedEOF)
		}
		synctest.Wait()
		require.Equal(t, 200, post(r, token, "["+strings.Repeat(" ", 200)+"]").Status)
		require.Zero(t, r.bodies.Load())
	})
}
