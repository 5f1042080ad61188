package rollcall_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/rollcall-go/rollcall"

// What a package must not bring along, by whatever way. Imports of ours go one
// way: crdt, bus <- presence <- channel <- transport/* <- cmd/*, and the buses know
// neither of their users.
// The load generator shares no code with the service that it measures, and the
// service does not link the generator.
const forbiddenDependencies = `
bus                    crdt presence channel transport cmd internal net net/http log log/slog
bus/bustest            crdt presence channel transport cmd internal net/http github.com/nats-io
crdt                   presence channel transport cmd net net/http log log/slog math/rand math/rand/v2
presence               channel transport cmd metrics plug net/http github.com/gorilla/websocket github.com/nats-io
presence/internal/replica  presence channel transport cmd net net/http log log/slog github.com/gorilla/websocket github.com/nats-io
presence/presencetest  channel transport cmd net/http github.com/gorilla/websocket github.com/nats-io
channel                transport cmd metrics plug net/http github.com/gorilla/websocket github.com/nats-io
channel/internal/actor    presence channel transport cmd net net/http log log/slog github.com/gorilla/websocket github.com/nats-io
channel/internal/admit    presence channel transport cmd net net/http log log/slog github.com/gorilla/websocket github.com/nats-io
channel/internal/fastlane presence transport cmd net/http github.com/gorilla/websocket github.com/nats-io
channel/internal/pubsub   presence transport cmd net/http github.com/gorilla/websocket github.com/nats-io
channel/internal/room     channel transport cmd net/http github.com/gorilla/websocket github.com/nats-io
channel/wire           presence transport cmd net/http github.com/gorilla/websocket github.com/nats-io plug metrics
channel/wire/phoenix1  presence transport cmd net/http github.com/gorilla/websocket github.com/nats-io plug metrics
channel/wire/phoenix2  presence transport cmd net/http github.com/gorilla/websocket github.com/nats-io plug metrics
channel/jwtauth        plug transport cmd net/http github.com/gorilla/websocket github.com/nats-io
channel/auth           plug transport cmd net/http github.com/gorilla/websocket github.com/nats-io github.com/golang-jwt
transport/intake       presence channel cmd metrics transport/natsbus transport/membus transport/websocket transport/longpoll github.com/gorilla/websocket github.com/nats-io
transport/longpoll     cmd metrics plug transport/natsbus transport/membus transport/websocket github.com/gorilla/websocket github.com/nats-io
metrics                cmd transport/membus transport/websocket transport/longpoll github.com/gorilla/websocket github.com/nats-io/nats-server
channel/channeltest                   transport cmd net/http github.com/gorilla/websocket github.com/nats-io
channel/channeltest/refserver         cmd github.com/nats-io
channel/channeltest/refserver/server  cmd github.com/nats-io
plug                   transport cmd net/http github.com/gorilla/websocket github.com/nats-io github.com/golang-jwt
plug/cookie            transport cmd github.com/gorilla/websocket github.com/nats-io github.com/golang-jwt
transport/membus       presence channel cmd net net/http github.com/gorilla/websocket github.com/nats-io
transport/natsbus      presence channel cmd metrics github.com/gorilla/websocket github.com/nats-io/nats-server
transport/origin       presence channel cmd transport/natsbus transport/membus github.com/gorilla/websocket github.com/nats-io
transport/websocket    cmd metrics plug transport/natsbus transport/membus github.com/nats-io
cmd/rollcall           cmd/rollcall-bench cmd/pointingparty
cmd/rollcall-bench     crdt presence channel transport cmd/internal github.com/nats-io github.com/prometheus
`

// What the files of a package must not import themselves.
const forbiddenImports = `
bus       time sync sync/atomic os io context
crdt      time sync sync/atomic os io net log context
presence  net net/http os
presence/internal/replica  presence sync sync/atomic os io context
channel   net/http os
channel/internal/room  sync sync/atomic os io net log log/slog context encoding/json
`

// The shells: files that may start goroutines, read the clock and set timers.
// Every other file of these packages is pure. A row must name an existing file.
const shells = `
crdt
presence               deliver.go session.go tracker.go watch.go
presence/internal/replica
presence/presencetest
channel                conn.go connect.go endpoint.go fetch.go metas.go room.go
channel/internal/actor  group.go mailbox.go
channel/internal/admit  controller.go
channel/internal/fastlane broadcast.go
channel/internal/pubsub pubsub.go
channel/internal/room
channel/wire           frame.go
channel/wire/phoenix1
channel/wire/phoenix2
channel/auth           auth.go
channel/jwtauth
metrics
plug                   entropy.go
`

func rows(t *testing.T, table string) map[string][]string {
	t.Helper()
	parsed := map[string][]string{}
	for line := range strings.Lines(strings.TrimSpace(table)) {
		fields := strings.Fields(line)
		require.NotContains(t, parsed, fields[0])
		parsed[fields[0]] = fields[1:]
	}
	require.NotEmpty(t, parsed)
	return parsed
}

func goList(t *testing.T, args ...string) []string {
	t.Helper()
	out, err := exec.Command("go", append([]string{"list"}, args...)...).Output()
	require.NoError(t, err, "go list %v", args)
	return strings.Fields(string(out))
}

// within reports whether path is the package that rule names, or below it.
func within(path, rule string) bool {
	if !strings.Contains(rule, ".") && !slices.Contains(standard, rule) {
		rule = module + "/" + rule
	}
	return path == rule || strings.HasPrefix(path, rule+"/") && rule != "net" && rule != "log"
}

var standard = []string{
	"context", "io", "log", "log/slog", "math/rand", "math/rand/v2", "net", "net/http", "os", "sync", "sync/atomic", "time",
}

func TestNoPackageBringsWhatItMustNot(t *testing.T) {
	for pkg, rules := range rows(t, forbiddenDependencies) {
		deps := goList(t, "-deps", "./"+pkg)
		require.Contains(t, deps, module+"/"+pkg)
		for _, dep := range deps {
			for _, rule := range rules {
				if within(dep, rule) && dep != module+"/"+pkg {
					t.Errorf("%s depends on %s", pkg, dep)
				}
			}
		}
	}
	for pkg, rules := range rows(t, forbiddenImports) {
		for _, imported := range goList(t, "-f", `{{join .Imports "\n"}}`, "./"+pkg) {
			for _, rule := range rules {
				if within(imported, rule) {
					t.Errorf("%s imports %s", pkg, imported)
				}
			}
		}
	}
}

// Every package is in the tables, or is one that has nothing to keep: a new one
// has to be thought about.
func TestEveryPackageIsUnderARule(t *testing.T) {
	known := rows(t, forbiddenDependencies)
	for _, path := range goList(t, "./...") {
		pkg := strings.TrimPrefix(strings.TrimPrefix(path, module), "/")
		if _, ok := known[pkg]; !ok && pkg != "" && !strings.HasPrefix(pkg, "cmd/") && !strings.Contains(pkg, "internal/") {
			t.Errorf("%s is in no row of forbiddenDependencies", pkg)
		}
	}
}

func TestPureFilesHaveNoClockNoChanceAndNoGoroutines(t *testing.T) {
	for pkg, shell := range rows(t, shells) {
		files, err := filepath.Glob(filepath.Join(pkg, "*.go"))
		require.NoError(t, err)
		require.NotEmpty(t, files)
		for _, name := range shell {
			require.Contains(t, files, filepath.Join(pkg, name), "a shell that is not there")
		}
		for _, file := range files {
			if name := filepath.Base(file); strings.HasSuffix(name, "_test.go") || slices.Contains(shell, name) {
				continue
			}
			for _, fault := range impurities(t, file) {
				t.Error(fault)
			}
		}
	}
}

// impurities finds go statements, the clock, timers, and the global random
// source in a file.
func impurities(t *testing.T, file string) []string {
	t.Helper()
	files := token.NewFileSet()
	parsed, err := parser.ParseFile(files, file, nil, 0)
	require.NoError(t, err)
	imported := map[string]string{} // local name -> path
	for _, spec := range parsed.Imports {
		path, err := strconv.Unquote(spec.Path.Value)
		require.NoError(t, err)
		name := filepath.Base(strings.TrimSuffix(path, "/v2"))
		if spec.Name != nil {
			name = spec.Name.Name
		}
		imported[name] = path
	}
	var found []string
	fault := func(n ast.Node, what string) {
		found = append(found, files.Position(n.Pos()).String()+": "+what+" in a pure file")
	}
	ast.Inspect(parsed, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			fault(n, "a go statement")
		case *ast.SelectorExpr:
			if n.Sel.Name == "Go" { // of a sync.WaitGroup
				fault(n, "a goroutine")
			}
			x, ok := n.X.(*ast.Ident)
			if !ok {
				break
			}
			switch path, name := imported[x.Name], n.Sel.Name; path {
			case "time":
				if slices.Contains([]string{"Now", "Since", "Until", "After", "AfterFunc", "Sleep", "Tick", "NewTimer", "NewTicker"}, name) {
					fault(n, "time."+name)
				}
			case "math/rand", "math/rand/v2", "crypto/rand":
				if !slices.Contains([]string{"New", "NewPCG", "NewSource", "NewChaCha8", "Rand", "Source"}, name) {
					fault(n, path+"."+name)
				}
			}
		}
		return true
	})
	return found
}
