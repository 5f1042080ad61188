package natsd

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// asServer holds "listen route" where this test binary is to be a server that
// answers "ping", instead of running tests, until its standard input ends.
const asServer = "NATSD_TEST_SERVER"

func TestMain(m *testing.M) {
	if args := os.Getenv(asServer); args != "" {
		os.Exit(serve(args))
	}
	goleak.VerifyTestMain(m)
}

func serve(args string) int {
	listen, route, _ := strings.Cut(args, " ")
	s, err := Start(Config{ClusterListen: listen, Routes: []string{route}})
	if err != nil {
		println(err.Error())
		return 1
	}
	nc, err := s.Conn()
	if err != nil {
		println(err.Error())
		return 1
	}
	if _, err := nc.Subscribe("ping", func(m *nats.Msg) { _ = m.Respond(nil) }); err != nil {
		println(err.Error())
		return 1
	}
	os.Stdout.WriteString("ready\n")
	bufio.NewReader(os.Stdin).ReadByte() // the parent's end closes it
	return 0
}

// startProcess runs a server in a process of its own until kill, at the latest
// until the test ends.
func startProcess(t *testing.T, listen, route string) (kill func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), asServer+"="+listen+" "+route)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe() // held open; ends with this process
	require.NoError(t, err)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	killed := false
	kill = func() {
		if !killed {
			killed = true
			_ = cmd.Process.Kill()
			_ = cmd.Wait() // "signal: killed"
			_ = stdin.Close()
		}
	}
	t.Cleanup(kill)
	line, err := bufio.NewReader(stdout).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "ready\n", line)
	return kill
}

func TestAKilledServerIsFoundAgain(t *testing.T) {
	listen, other := freeAddress(t), freeAddress(t)
	s := start(t, Config{ClusterListen: listen, Routes: []string{other}})
	nc := connect(t, s)
	asked := func(want error) func() bool {
		return func() bool {
			_, err := nc.Request("ping", nil, 100*time.Millisecond) // one asked at the instant of death has no answer
			return errors.Is(err, want)
		}
	}
	for range 3 {
		kill := startProcess(t, other, listen)
		require.Eventually(t, asked(nil), waitLimit, time.Millisecond)
		kill()
		require.Eventually(t, asked(nats.ErrNoResponders), waitLimit, time.Millisecond, "it is known to be gone")
	}
}
