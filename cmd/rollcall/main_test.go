package main

import (
	"bytes"
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/rollcall-go/rollcall/cmd/internal/serve"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestCommandsAndWhatIsNone(t *testing.T) {
	tests := []struct {
		args           []string
		code           int
		stdout, stderr string
	}{
		{[]string{"help"}, 0, "rollcall serve [flags]", ""},
		{[]string{"--help"}, 0, "rollcall serve [flags]", ""},
		{[]string{"version"}, 0, "rollcall ", ""},
		{nil, 2, "", "rollcall: no command"},
		{[]string{"server"}, 2, "", `rollcall: unknown command "server": there are serve, version and help`},
		{[]string{"bench", "conns", "--self"}, 2, "", `rollcall: unknown command "bench": the load generator is now a separate program, rollcall-bench`},
		{[]string{"--listen", ":1"}, 2, "", `unknown command "--listen"`},
	}
	for _, test := range tests {
		var stdout, stderr bytes.Buffer
		code := command(test.args, &stdout, &stderr, func(serve.App, []string) int {
			t.Errorf("%q serves", test.args)
			return 0
		})
		require.Equal(t, test.code, code, "%q", test.args)
		require.Contains(t, stdout.String(), test.stdout)
		require.Contains(t, stderr.String(), test.stderr)
		require.Equal(t, test.stdout == "", stdout.Len() == 0, "%q", test.args)
		require.Equal(t, test.stderr == "", stderr.Len() == 0, "%q", test.args)
	}
}

func TestServeGetsTheFlags(t *testing.T) {
	var got []string
	code := command([]string{"serve", "--name", "x"}, nil, nil, func(app serve.App, args []string) int {
		require.Equal(t, "rollcall", app.Name)
		got = args
		return 7
	})
	require.Equal(t, 7, code)
	require.Equal(t, []string{"--name", "x"}, got)
}

func TestVersionSaysWhatWasBuilt(t *testing.T) {
	info := &debug.BuildInfo{GoVersion: "go1.26.8", Main: debug.Module{Version: "v1.2.3"}}
	require.Equal(t, "rollcall v1.2.3 go1.26.8", describe(info))
	info.Settings = []debug.BuildSetting{{Key: "vcs.revision", Value: "0123456789abcdef"}, {Key: "vcs.modified", Value: "true"}}
	require.Equal(t, "rollcall v1.2.3 (revision 0123456789ab, modified) go1.26.8", describe(info))
	info.Settings[1].Value = "false"
	require.Equal(t, "rollcall v1.2.3 (revision 0123456789ab) go1.26.8", describe(info))
}
