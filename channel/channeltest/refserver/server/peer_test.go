package server_test

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	gorilla "github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"
)

// A peer is one client of a transcript: a WebSocket, or requests over HTTP.
type peer struct {
	// static after connect
	ws       *gorilla.Conn
	protocol string // that the server chose

	reading sync.WaitGroup

	// owned by the player
	sent   []frame
	want   []frame // but presence
	wanted presences
	ended  bool // by the client

	mu     sync.Mutex
	got    []frame // but presence
	seen   presences
	faults []string
}

func newPeer() *peer { return &peer{wanted: presences{}, seen: presences{}} }

// connect makes a peer of a WebSocket, or one that knows how it was refused.
func (p *player) connect(name, path string, header http.Header) {
	dialer := gorilla.Dialer{NetDialContext: p.listener.dial}
	c := newPeer()
	p.peers[name] = c
	ws, answer, err := dialer.Dial("ws://localhost:4000"+path, header)
	if err != nil {
		require.ErrorIs(p.t, err, gorilla.ErrBadHandshake, p.where)
		body, _ := io.ReadAll(answer.Body)
		c.add(parseFrame(strings.TrimSpace(fmt.Sprintf("refused: %d %s", answer.StatusCode, body))))
		return
	}
	c.ws, c.protocol = ws, answer.Header.Get("Sec-Websocket-Protocol")
	ws.SetPongHandler(func(data string) error {
		c.add(parseFrame("PONG " + data))
		return nil
	})
	c.reading.Go(c.read)
}

func (c *peer) requireProtocol(t *testing.T, want, where string) {
	require.Equal(t, want, c.protocol, where)
}

// read collects what comes, up to the end of the connection.
func (c *peer) read() {
	for {
		kind, data, err := c.ws.ReadMessage()
		var closed *gorilla.CloseError
		switch {
		case errors.As(err, &closed):
			c.add(parseFrame(fmt.Sprintf("closed %d", closed.Code)))
			return
		case err != nil:
			c.add(parseFrame("closed 1006"))
			return
		case kind == gorilla.BinaryMessage:
			text := "B " + hex.EncodeToString(data)
			c.add(frame{text: text, masked: text})
		default:
			c.add(parseFrame(string(data)))
		}
	}
}

func (c *peer) add(f frame) {
	c.mu.Lock()
	defer c.mu.Unlock()
	applied, fault := c.seen.apply(f)
	if fault != "" {
		c.faults = append(c.faults, fault)
	}
	if !applied {
		c.got = append(c.got, f)
	}
}

func (c *peer) expect(f frame, t *testing.T, where string) {
	applied, fault := c.wanted.apply(f)
	require.Empty(t, fault, where)
	if !applied {
		c.want = append(c.want, f)
	}
}

func (c *peer) send(f frame, binary bool, data []byte) {
	c.sent = append(c.sent, f)
	kind := gorilla.TextMessage
	if binary {
		kind = gorilla.BinaryMessage
	}
	_ = c.ws.WriteMessage(kind, data) // a connection that is over is seen by its reader
}

func (c *peer) ping(data string) {
	_ = c.ws.WriteControl(gorilla.PingMessage, []byte(data), time.Now().Add(time.Second))
}

// close sends a close frame; the server's answer ends the connection.
func (c *peer) close(code int) {
	c.ended = true
	var message []byte
	if code != 0 && code != gorilla.CloseNoStatusReceived {
		message = gorilla.FormatCloseMessage(code, "")
	}
	_ = c.ws.WriteControl(gorilla.CloseMessage, message, time.Now().Add(time.Second))
}

func (c *peer) drop() {
	c.ended = true
	if c.ws != nil {
		_ = c.ws.NetConn().Close()
	}
}

// presence is what the client's Presence holds, and what was wrong with frames.
func (c *peer) presence() (held map[string]map[string][]string, faults []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.seen.flat(), slices.Clone(c.faults)
}

// compare tells what of a step was not sent, and what was sent beyond it.
func (c *peer) compare() (missing, extra []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	got := slices.Clone(c.got)
	match := func(want frame, same func(got frame) bool) bool {
		at := slices.IndexFunc(got, same)
		if at >= 0 {
			got = slices.Delete(got, at, at+1)
		}
		return at >= 0
	}
	var left []frame
	for _, want := range c.want {
		if !match(want, func(got frame) bool { return got.masked == want.masked }) {
			left = append(left, want)
		}
	}
	for _, want := range left {
		if !match(want, func(got frame) bool { return c.instead(want, got) }) && !c.mayMiss(want) {
			missing = append(missing, want.text)
		}
	}
	for _, f := range got {
		if !c.mayAdd(f) {
			extra = append(extra, f.text)
		}
	}
	return missing, extra
}

func (c *peer) instead(want, got frame) bool {
	return slices.ContainsFunc(differences, func(d difference) bool { return d.instead != nil && d.instead(want, got, c.sent) })
}

func (c *peer) mayMiss(want frame) bool {
	return slices.ContainsFunc(differences, func(d difference) bool { return d.missing != nil && d.missing(want, c.sent) })
}

func (c *peer) mayAdd(got frame) bool {
	if c.ended && strings.HasPrefix(got.text, "closed ") { // the client's own close is not always noted
		return true
	}
	return slices.ContainsFunc(differences, func(d difference) bool { return d.extra != nil && d.extra(got, c.sent) })
}

// answers are, for each answer over HTTP that was expected, its token and ours.
func (c *peer) answers() (pairs [][2]string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, want := range c.want {
		if i < len(c.got) && strings.HasPrefix(want.masked, "HTTP ") {
			pairs = append(pairs, [2]string{tokenOf(want.text), tokenOf(c.got[i].text)})
		}
	}
	return pairs
}

func tokenOf(answer string) string {
	_, body, _ := strings.Cut(answer, "body: ")
	var v struct{ Token string }
	_ = json.NewDecoder(strings.NewReader(body)).Decode(&v)
	return v.Token
}

// next begins the next step.
func (c *peer) next() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.want, c.sent, c.got, c.faults = nil, nil, nil, nil
}

// request sends a request over HTTP; its answer is collected when it comes.
func (p *player) request(name, method, path, rest string) {
	for theirs, ours := range p.tokens {
		path, rest = strings.ReplaceAll(path, theirs, ours), strings.ReplaceAll(rest, theirs, ours)
	}
	_, body, _ := strings.Cut(rest, " | body: ")
	r, err := http.NewRequestWithContext(p.t.Context(), method, "http://localhost:4000"+path, strings.NewReader(body))
	require.NoError(p.t, err, p.where)
	for header, values := range headers(rest) {
		r.Header[header] = values
	}
	c := p.peer(name)
	c.sent = append(c.sent, frame{text: method + " " + path, event: method})
	c.reading.Go(func() {
		client := &http.Transport{DialContext: p.listener.dial, DisableKeepAlives: true}
		answer, err := client.RoundTrip(r)
		if err != nil {
			c.add(parseFrame("no answer: " + err.Error()))
			return
		}
		defer answer.Body.Close()
		body, _ := io.ReadAll(answer.Body)
		head := " | "
		for name, values := range answer.Header {
			head += name + ": " + values[0] + " | "
		}
		text := head + "body: " + string(body)
		c.add(frame{text: fmt.Sprint(answer.StatusCode, text), masked: answerText(fmt.Sprint(answer.StatusCode), text)})
	})
}
