package main

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	gorilla "github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/rollcall-go/rollcall/cmd/internal/serve"
	"github.com/rollcall-go/rollcall/cmd/internal/serve/servetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testProgram is the command with a page that needs no npm.
func testProgram(t *testing.T) serve.App {
	files := builtSite(t)
	return program(func() (*site, error) { return files, nil })
}

func TestProgramServesThePageTheSocketAndItsHealth(t *testing.T) {
	c := servetest.Start(t, testProgram(t), "--allow-origin", "https://friend.example")
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	for path, want := range map[string]string{"/": "<!doctype html>", "/r/team": "<!doctype html>", "/healthz": `"connections":0`} {
		res, err := client.Get(c.URL + path)
		require.NoError(t, err)
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		require.NoError(t, err)
		require.Equal(t, 200, res.StatusCode, path)
		require.Contains(t, string(body), want)
	}
	for origin, want := range map[string]int{"https://friend.example": 101, "https://stranger.example": 403} {
		ws, res, _ := gorilla.DefaultDialer.Dial(c.WebSocket(""), http.Header{"Origin": {origin}})
		if ws != nil {
			ws.Close()
		}
		require.Equal(t, want, res.StatusCode, origin)
	}
	require.Equal(t, 0, c.Stop())
}

func TestProgramNamesWhatIsWrongWithTheCards(t *testing.T) {
	file := filepath.Join(t.TempDir(), "cards.json")
	require.NoError(t, os.WriteFile(file, []byte("[\n  {\"title\": 7}\n]"), 0o600))
	c := servetest.StartOnly(t, testProgram(t), "--cards", file)
	require.Equal(t, 2, c.Wait())
	require.Regexp(t, `(?m)^pointingparty: [^\n]*cards\.json:2`, c.Stderr())

	c = servetest.StartOnly(t, testProgram(t), "--cards", file+"x")
	require.Equal(t, 2, c.Wait())
	require.Contains(t, c.Stderr(), file+"x: no such file")
}

func TestProgramThatWasBuiltWithoutTheClientSaysSo(t *testing.T) {
	c := servetest.StartOnly(t, program(func() (*site, error) { return nil, errNoPhoenix }), "--listen", "127.0.0.1:0")
	require.Equal(t, 1, c.Wait())
	require.Regexp(t, `^pointingparty: built without the "phoenix" npm package: [^\n]+\n$`, c.Stderr())
}
