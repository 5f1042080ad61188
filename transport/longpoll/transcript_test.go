package longpoll

import (
	"bufio"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// The files in testdata/reference are what a real Phoenix server was asked and
// answered. They are replayed in virtual time: the same requests must get the
// same answers. Masked are tokens, the order of JSON keys, of headers all but
// content-type, cache-control and access-control-*, and how long answers take
// that say no more than that time is over.

// A step is one line of a transcript, with the lines of its body.
type step struct {
	what string // ">>", "<<" or "#"
	conn string
	text string
	args []string // header: value, and body: text
	slow bool     // "(after 2s)"
}

func readTranscript(t *testing.T, path string) []step {
	t.Helper()
	file, err := os.Open(path)
	require.NoError(t, err)
	defer file.Close()
	var steps []step
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		what, rest, _ := strings.Cut(lines.Text(), " ")
		switch what {
		case "#":
			steps = append(steps, step{what: what, text: rest})
		case ">>", "<<":
			conn, rest, _ := strings.Cut(rest, " ")
			rest, slow := strings.CutSuffix(rest, "   (after 2s)")
			text, rest, _ := strings.Cut(rest, " | ")
			s := step{what: what, conn: conn, text: text, slow: slow}
			for rest != "" && !strings.HasPrefix(rest, "body: ") {
				var arg string
				arg, rest, _ = strings.Cut(rest, " | ")
				s.args = append(s.args, arg)
			}
			if rest != "" {
				s.args = append(s.args, rest)
			}
			steps = append(steps, s)
		default: // a body goes on
			last := &steps[len(steps)-1]
			last.args[len(last.args)-1] += "\n" + lines.Text()
		}
	}
	require.NoError(t, lines.Err())
	return steps
}

// arg is the value of a header, or the body.
func (s step) arg(name string) string {
	for _, arg := range s.args {
		if n, value, _ := strings.Cut(arg, ": "); n == name {
			return value
		}
	}
	return ""
}

// A replay sends a transcript's requests to a server.
type replay struct {
	server  *realServer
	tokens  map[string]string // of the transcript -> ours
	asked   map[string]<-chan timedAnswer
	request map[string]step
	checked int
}

type timedAnswer struct {
	answer
	took time.Duration
}

func TestTranscripts(t *testing.T) {
	paths, err := filepath.Glob("testdata/reference/30_*.txt")
	require.NoError(t, err)
	require.Len(t, paths, 2)
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			steps := readTranscript(t, path)
			// The server's socket /short.
			inReal(t, Config{Window: 2 * time.Second, TokenAge: 3 * time.Second}, func(t *testing.T, s *realServer) {
				r := &replay{server: s, tokens: map[string]string{}, asked: map[string]<-chan timedAnswer{}, request: map[string]step{}}
				for _, step := range steps {
					switch step.what {
					case "#":
						if strings.HasPrefix(step.text, "13.") { // "is not polled for 1.5 windows"
							time.Sleep(4 * time.Second)
						}
					case ">>":
						r.send(step)
					case "<<":
						r.check(t, step)
					}
				}
				require.Greater(t, r.checked, 45)
			})
		})
	}
}

var referenceToken = regexp.MustCompile(`SFMyNTY\.[\w-]+\.[\w-]+`)

func (r *replay) send(s step) {
	ours := func(text string) string {
		return referenceToken.ReplaceAllStringFunc(text, func(token string) string { return r.tokens[token] })
	}
	method, uri, _ := strings.Cut(ours(s.text), " ")
	var headers []string
	for _, arg := range s.args {
		if !strings.HasPrefix(arg, "body: ") {
			headers = append(headers, ours(arg))
		}
	}
	got := make(chan timedAnswer, 1)
	go func() {
		begin := time.Now()
		a := do(context.Background(), r.server, method, uri, s.arg("body"), headers...)
		got <- timedAnswer{a, time.Since(begin)}
	}()
	synctest.Wait()
	r.asked[s.conn], r.request[s.conn] = got, s
}

func (r *replay) check(t *testing.T, want step) {
	t.Helper()
	got, asked := <-r.asked[want.conn], r.request[want.conn]
	r.checked++
	if strings.HasPrefix(want.text, "500 ") && strings.HasPrefix(asked.text, "GET ") {
		// B108: there, the poll of a binary frame fails for ever. Here the session
		// has ended, and the client is told to start over.
		require.Equal(t, 410, got.Status)
		return
	}
	require.Equal(t, strings.Fields(want.text)[0], strconv.Itoa(got.HTTP), "%v", asked)
	for _, header := range []string{"content-type", "cache-control", "access-control-allow-origin", "access-control-allow-headers", "access-control-allow-methods", "access-control-max-age"} {
		require.Equal(t, want.arg(header), got.Header.Get(header), "%s of %v", header, asked)
	}
	var wanted answer
	body := want.arg("body")
	if json.Unmarshal([]byte(body), &wanted) != nil || wanted.Status == 0 {
		require.Equal(t, body, got.Body, "%v", asked)
		return
	}
	require.Equal(t, wanted.Status, got.Status, "%v", asked)
	require.Equal(t, wanted.Token != "", got.Token != "", "%v", asked)
	require.Equal(t, strings.Contains(body, `"messages"`), strings.Contains(got.Body, `"messages"`), "%v", asked)
	require.ElementsMatch(t, decoded(t, wanted.Messages), decoded(t, got.Messages), "%v", asked)
	if wanted.Token != "" {
		r.tokens[wanted.Token] = got.Token
	}
	if want.slow && wanted.Status == 204 {
		require.Equal(t, 2*time.Second, got.took, "%v", asked)
	}
}

func decoded(t *testing.T, messages []string) []any {
	t.Helper()
	var all []any
	for _, message := range messages {
		var v any
		require.NoError(t, json.Unmarshal([]byte(message), &v))
		all = append(all, v)
	}
	return all
}
