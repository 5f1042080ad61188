package server_test

import (
	"encoding/hex"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// TestTranscripts sends what was sent to a Phoenix server, and compares what
// comes back with what that server sent: channel/testdata/phoenix, or the *.txt
// of the directory that TRANSCRIPTS names (relative to the root of the module).
// The notation is in the README there.
//
// A step is what was sent one after the other, and what came until the next was
// sent. The frames of a step are compared as a multiset, because what different
// processes of the reference cause may swap; the order that is promised has tests
// of its own. Presence frames are compared by what the client's Presence holds
// after the step: diffs may be merged. Differences on purpose are in differences,
// by behaviour.
//
// It runs in virtual time: what the reference took seconds for takes none.
func TestTranscripts(t *testing.T) {
	const root = "../../../.."
	dir := filepath.Join(root, "channel/testdata/phoenix")
	if named := os.Getenv("TRANSCRIPTS"); named != "" {
		dir = named
		if !filepath.IsAbs(dir) {
			dir = filepath.Join(root, dir)
		}
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.txt"))
	require.NoError(t, err)
	played := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		if lineTimed.Match(text) {
			t.Logf("%s: times of a cluster, to be read and not to be played", filepath.Base(file))
			continue
		}
		played++
		t.Run(filepath.Base(file), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { play(t, string(text)) })
		})
	}
	require.NotZero(t, played, "no transcripts in %s", dir)
}

var (
	lineTimed    = regexp.MustCompile(`(?m)^ *\d+ms (>>|<<|--|#)`)
	lineText     = regexp.MustCompile(`^(>>|<<) \[(\w+)\] ((?s:.*))$`)
	lineBinary   = regexp.MustCompile(`^(>>|<<)B \[(\w+)\] ([0-9a-f]*) `)
	lineConnect  = regexp.MustCompile(`^-- \[(\w+)\] connect (\S+)(.*)$`)
	line101      = regexp.MustCompile(`^-- \[(\w+)\] 101 Switching Protocols(.*)$`)
	lineRefused  = regexp.MustCompile(`^-- \[(\w+)\] refused: HTTP (\d+)[^|]*(.*)$`)
	lineCloses   = regexp.MustCompile(`^-- \[(\w+)\] client closes(?: code=(\d+))?`)
	lineDrops    = regexp.MustCompile(`^-- \[(\w+)\] client drops`)
	lineClosed   = regexp.MustCompile(`^-- \[(\w+)\] closed code=(\d+)`)
	lineBegins   = regexp.MustCompile(`^(>>B?|<<B?|--) \[\w+\] |^#`)
	lineJoins    = regexp.MustCompile(`^# (\d+) joins of (\w+:)0 \.\. \w+:\d+ were sent: \d+ ok$`)
	lineUnpolled = regexp.MustCompile(`^#.* not polled for 1\.5 windows`)
	httpRequest  = regexp.MustCompile(`^(GET|POST|PUT|DELETE|OPTIONS|HEAD|PATCH) (/\S*)((?s:.*))$`)
	httpAnswer   = regexp.MustCompile(`^(\d{3}) [^|]*((?s:.*?))(?: +\(after \d+s\))?$`)
)

// play plays one transcript.
func play(t *testing.T, transcript string) {
	p := &player{t: t, listener: serve(t), peers: map[string]*peer{}, tokens: map[string]string{}}
	defer p.end()
	lines := logicalLines(transcript)
	for i, line := range lines {
		p.where = fmt.Sprintf("%.100s", line)
		if lineUnpolled.MatchString(line) {
			p.settle()
			time.Sleep(unpolled)
			continue
		}
		if m := lineJoins.FindStringSubmatch(line); m != nil {
			p.joins("a", m[1], m[2])
			continue
		}
		p.line(line, i+1 < len(lines))
	}
	p.settle()
	time.Sleep(last)
	p.settle()
}

// logicalLines puts what follows a request's body behind it.
func logicalLines(transcript string) []string {
	var lines []string
	for line := range strings.SplitSeq(strings.TrimSuffix(transcript, "\n"), "\n") {
		if len(lines) > 0 && !lineBegins.MatchString(line) {
			lines[len(lines)-1] += "\n" + line
			continue
		}
		lines = append(lines, line)
	}
	return lines
}

// A player has the peers of one transcript.
type player struct {
	t        *testing.T
	where    string
	listener *pipes
	peers    map[string]*peer
	// tokens has ours for each token of the transcript.
	tokens map[string]string
	// sending: the last line was sent, the step goes on.
	sending bool
}

func (p *player) line(line string, more bool) {
	if strings.HasPrefix(line, "#") {
		p.sending = false
		return
	}
	if m := lineText.FindStringSubmatch(line); m == nil {
		p.other(line)
	} else if m[1] == "<<" {
		p.sending = false
		p.receives(m[2], m[3], line)
	} else {
		p.step()
		p.sends(m[2], m[3])
	}
}

func (p *player) receives(name, text, line string) {
	if m := httpAnswer.FindStringSubmatch(text); m != nil && p.peer(name).ws == nil {
		p.peer(name).expect(frame{text: line, masked: answerText(m[1], m[2])}, p.t, p.where)
		return
	}
	p.peer(name).expect(parseFrame(text), p.t, p.where)
}

func (p *player) sends(name, text string) {
	if m := httpRequest.FindStringSubmatch(text); m != nil && (p.peers[name] == nil || p.peers[name].ws == nil) {
		synctest.Wait() // requests arrive in their order
		p.request(name, m[1], m[2], m[3])
		return
	}
	if data, ok := strings.CutPrefix(text, "PING "); ok {
		p.peer(name).ping(data)
		return
	}
	p.peer(name).send(parseFrame(text), false, []byte(text))
}

func (p *player) other(line string) {
	if m := lineBinary.FindStringSubmatch(line); m != nil {
		data, err := hex.DecodeString(m[3])
		require.NoError(p.t, err, p.where)
		f := frame{text: "B " + m[3], masked: "B " + m[3]}
		if m[1] == ">>" {
			p.step()
			p.peer(m[2]).send(f, true, data)
			return
		}
		p.sending = false
		p.peer(m[2]).expect(f, p.t, p.where)
		return
	}
	if m := lineConnect.FindStringSubmatch(line); m != nil {
		p.settle()
		p.connect(m[1], m[2], headers(m[3]))
	} else if m := line101.FindStringSubmatch(line); m != nil {
		if m[2] != "" {
			p.peer(m[1]).requireProtocol(p.t, headers(m[2]).Get("Sec-Websocket-Protocol"), p.where)
		}
	} else if m := lineRefused.FindStringSubmatch(line); m != nil {
		_, body, _ := strings.Cut(m[3], "body: ")
		p.peer(m[1]).expect(parseFrame(strings.TrimSpace("refused: "+m[2]+" "+body)), p.t, p.where)
	} else if m := lineCloses.FindStringSubmatch(line); m != nil {
		p.step()
		code, _ := strconv.Atoi(m[2])
		p.peer(m[1]).close(code)
		return
	} else if m := lineDrops.FindStringSubmatch(line); m != nil {
		p.step()
		p.peer(m[1]).drop()
		return
	} else if m := lineClosed.FindStringSubmatch(line); m != nil {
		p.peer(m[1]).expect(parseFrame("closed "+m[2]), p.t, p.where)
	} else {
		require.Fail(p.t, "not understood", "%s", line)
	}
	p.sending = false
}

// joins sends the joins that a comment tells of.
func (p *player) joins(name, count, prefix string) {
	p.step()
	n, err := strconv.Atoi(count)
	require.NoError(p.t, err)
	for i := range n {
		text := fmt.Sprintf(`["%d","%d","%s%d","phx_join",{}]`, i+1, i+1, prefix, i)
		p.peer(name).send(parseFrame(text), false, []byte(text))
		p.peer(name).expect(parseFrame(fmt.Sprintf(`["%d","%d","%s%d","phx_reply",{"status":"ok","response":{}}]`, i+1, i+1, prefix, i)), p.t, p.where)
	}
	p.sending = false
}

func (p *player) peer(name string) *peer {
	if p.peers[name] == nil {
		p.peers[name] = newPeer()
	}
	return p.peers[name]
}

// step ends the last step when something is sent after something came.
func (p *player) step() {
	if !p.sending {
		p.settle()
	}
	p.sending = true
}

// unpolled is longer than 1.5 windows of /short.
const unpolled = 3500 * time.Millisecond

// Within waitLimit everything that is expected comes. What nobody expects has come
// when it was quiet, or is found by a later step: the last waits for longest.
const (
	waitLimit = 15 * time.Second
	quiet     = 5 * time.Millisecond
	last      = time.Second
)

// settle waits until what was expected has come, and compares.
func (p *player) settle() {
	p.t.Helper()
	began := time.Now()
	for !p.done() && time.Since(began) < waitLimit {
		time.Sleep(5 * time.Millisecond)
	}
	time.Sleep(quiet)
	synctest.Wait()
	for name, c := range p.peers {
		missing, extra := c.compare()
		require.Empty(p.t, missing, "before %s\n[%s] was not sent; was sent instead: %v", p.where, name, extra)
		require.Empty(p.t, extra, "before %s\n[%s] was sent too much", p.where, name)
		held, faults := c.presence()
		require.Empty(p.t, faults, "before %s\n[%s]", p.where, name)
		require.Equal(p.t, c.wanted.flat(), held, "before %s\n[%s] presence", p.where, name)
		for _, pair := range c.answers() {
			if pair[0] != "" {
				p.tokens[pair[0]] = pair[1]
			}
		}
		c.next()
	}
}

func (p *player) done() bool {
	synctest.Wait()
	for _, c := range p.peers {
		missing, _ := c.compare()
		if held, _ := c.presence(); len(missing) > 0 || !reflect.DeepEqual(c.wanted.flat(), held) {
			return false
		}
	}
	return true
}

func (p *player) end() {
	for _, c := range p.peers {
		c.drop()
		c.reading.Wait()
	}
}

// headers reads " | name: value" as often as it stands there, up to a body.
func headers(text string) http.Header {
	h := http.Header{}
	text, _, _ = strings.Cut(text, " | body:")
	for part := range strings.SplitSeq(strings.TrimPrefix(text, "|"), " | ") {
		if name, value, ok := strings.Cut(part, ": "); ok {
			h.Add(strings.TrimSpace(name), strings.TrimSpace(value))
		}
	}
	return h
}

// compared are the headers of answers that are compared. The cache-control that
// Plug puts where the transport says nothing is none of the transport's.
func compared(h http.Header) []string {
	var out []string
	for name, values := range h {
		name = strings.ToLower(name)
		if name != "content-type" && name != "cache-control" && !strings.HasPrefix(name, "access-control-") {
			continue
		}
		if values[0] != "max-age=0, private, must-revalidate" && !strings.HasPrefix(name, "access-control-request") {
			out = append(out, name+": "+values[0])
		}
	}
	slices.Sort(out)
	return out
}

// answerText is what is compared of an answer over HTTP. The page that shows an
// error of the server is the web framework's.
func answerText(status, rest string) string {
	if status >= "500" {
		return "HTTP " + status
	}
	head, body, _ := strings.Cut(rest, "body: ")
	return strings.Join(append([]string{"HTTP " + status}, compared(headers(head))...), " | ") + " | " + canonicalText(body)
}
