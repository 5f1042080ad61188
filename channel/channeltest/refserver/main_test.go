//go:build unix

package main

import (
	"bufio"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// build builds the command as its documentation has users run it.
func build(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "refserver")
	out, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput()
	require.NoError(t, err, "%s", out)
	return path
}

// start starts it, and returns it with the address that it prints.
func start(t *testing.T, path string, args ...string) (cmd *exec.Cmd, address string) {
	t.Helper()
	cmd = exec.Command(path, args...)
	output, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		if cmd.ProcessState == nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	})
	line, err := bufio.NewReader(output).ReadString('\n')
	require.NoError(t, err)
	address, ok := strings.CutPrefix(strings.TrimSpace(line), "listening on http://")
	require.True(t, ok, line)
	return cmd, address
}

func TestRefserverListensWhereItIsToldAndEndsInOrder(t *testing.T) {
	cmd, address := start(t, build(t), "-listen", "127.0.0.1:0")
	ws, _, err := websocket.DefaultDialer.Dial("ws://"+address+"/socket/websocket?user=a&vsn=2.0.0", nil)
	require.NoError(t, err)
	defer ws.Close()
	require.NoError(t, ws.SetReadDeadline(time.Now().Add(20*time.Second)))
	ask := func(frame, answer string) {
		t.Helper()
		require.NoError(t, ws.WriteMessage(websocket.TextMessage, []byte(frame)))
		_, got, err := ws.ReadMessage()
		require.NoError(t, err)
		require.JSONEq(t, answer, string(got))
	}
	ask(`["1","1","echo:a","phx_join",{"bare":true}]`, `["1","1","echo:a","phx_reply",{"status":"ok","response":{}}]`)
	ask(`["1","2","echo:a","ping",{"x":1}]`, `["1","2","echo:a","phx_reply",{"status":"ok","response":{"x":1}}]`)

	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Get("http://" + address + "/socket/longpoll?user=a&vsn=2.0.0")
	require.NoError(t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.Contains(t, string(body), `"status":410`)

	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	_, _, err = ws.ReadMessage()
	require.True(t, websocket.IsCloseError(err, websocket.CloseServiceRestart), "%v", err)
	require.NoError(t, cmd.Wait(), "exit code 0")
}

func TestRefserverSaysWhyItDoesNotStart(t *testing.T) {
	path := build(t)
	_, address := start(t, path, "-listen", "127.0.0.1:0")
	out, err := exec.Command(path, "-listen", address).CombinedOutput()
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit)
	require.Equal(t, 1, exit.ExitCode())
	require.Contains(t, string(out), "address already in use")
	out, err = exec.Command(path, "-port", "1").CombinedOutput()
	require.ErrorAs(t, err, &exit)
	require.Equal(t, 2, exit.ExitCode())
	require.Contains(t, string(out), "-listen")
}
