package websocket

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"

	gorilla "github.com/gorilla/websocket"

	"github.com/rollcall-go/rollcall/channel"
	"github.com/rollcall-go/rollcall/channel/wire"
	"github.com/rollcall-go/rollcall/transport/intake"
	"github.com/rollcall-go/rollcall/transport/internal/httptransport"
)

// admit waits for the turn of the handshake, or refuses it.
func (t *Transport) admit(c *conn, w http.ResponseWriter, r *http.Request) (turn *intake.Turn, ok bool) {
	var err error
	if c.address, err = t.config.Intake.Count(r); err == nil {
		turn, err = t.config.Intake.Wait(r, t.done)
	}
	if err == nil {
		return turn, true
	}
	refused, _ := httptransport.RefusedBy(err)
	if refused.Why.Cause == "" {
		t.stats.refused.Add(1) // the client has gone away
		return nil, false
	}
	if refused.RetryAfter != "" {
		w.Header().Set("Retry-After", refused.RetryAfter)
	}
	t.refuse(w, r, refused.Why.Code, refused.Reason, refused.Why)
	return nil, false
}

// handshake upgrades the request or refuses it.
func (t *Transport) handshake(c *conn, w http.ResponseWriter, r *http.Request) bool {
	if !t.config.CheckOrigin.Allows(r) {
		t.refuse(w, r, http.StatusForbidden, "", wire.Rejection{
			Cause: wire.CauseOrigin, Err: fmt.Errorf("origin %q at host %q", r.Header.Get("Origin"), r.Host),
		})
		return false
	}
	offered, token, err := parseProtocols(r.Header)
	var protocol string
	if err == nil {
		protocol, err = chooseProtocol(t.config.Subprotocols, offered)
	}
	if err != nil {
		t.refuse(w, r, http.StatusForbidden, "", wire.Rejection{Cause: wire.CauseSubprotocol, Err: err})
		return false
	}
	channels, err := t.door.Ask(r, httptransport.ConnectInfo(transportName, r, token))
	if err != nil {
		status, body := refusal(err)
		t.answer(w, status, body) // why, the endpoint has told
		return false
	}
	c.channels = channels
	if err := checkUpgrade(r); err != nil {
		channels.Reject(wire.Rejection{Cause: wire.CauseHandshake, Code: http.StatusBadRequest, Err: err})
		channels.Closed(wire.ReasonClosed)
		w.Header().Set("Sec-WebSocket-Version", "13")
		t.answer(w, http.StatusBadRequest, err.Error())
		return false
	}
	if err := t.upgrade(c, w, r, protocol); err != nil {
		channels.Closed(wire.ReasonClosed)
		return false
	}
	return true
}

// upgrade takes the connection over from net/http. When it fails it has
// answered where an answer was possible.
func (t *Transport) upgrade(c *conn, w http.ResponseWriter, r *http.Request, protocol string) error {
	var header http.Header
	if protocol != "" {
		header = http.Header{"Sec-Websocket-Protocol": {protocol}}
	}
	_, err := t.upgrader.Upgrade(&hijacker{ResponseWriter: w, c: c}, r, header)
	if err == nil {
		return nil
	}
	if c.waiter.Conn == nil {
		c.channels.Reject(wire.Rejection{
			Cause: wire.CauseFault, Code: http.StatusInternalServerError, Err: fmt.Errorf("websocket: upgrade impossible: %w", err),
		})
		t.answer(w, http.StatusInternalServerError, "this server cannot upgrade connections")
	} else {
		c.channels.Reject(wire.Rejection{Cause: wire.CauseHandshake, Err: err})
		t.stats.refused.Add(1)
		c.waiter.Conn.Abort()
	}
	return err
}

// refusal is the answer to a handshake that Connect refused (B006, B007).
func refusal(err error) (status int, body string) {
	var chosen *channel.ConnectError
	if !errors.As(err, &chosen) {
		return http.StatusForbidden, ""
	}
	// Below 200 net/http would still wait for the answer; above 999 it panics.
	if chosen.Status < 200 || chosen.Status > 999 {
		return http.StatusForbidden, chosen.Body
	}
	return chosen.Status, chosen.Body
}

// refuse refuses a handshake before there is a channelConn.
func (t *Transport) refuse(w http.ResponseWriter, r *http.Request, status int, body string, why wire.Rejection) {
	why.Transport, why.Remote, why.Code = transportName, r.RemoteAddr, status
	t.reject(why)
	t.answer(w, status, body)
}

// answer writes the one answer to a refused handshake.
func (t *Transport) answer(w http.ResponseWriter, status int, body string) {
	t.stats.refused.Add(1)
	if body != "" {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("X-Content-Type-Options", "nosniff")
	}
	w.WriteHeader(status)
	io.WriteString(w, body) // an error: the client does not wait for the answer
}

// newUpgrader returns what answers handshakes.
func newUpgrader(compress bool) gorilla.Upgrader {
	return gorilla.Upgrader{
		// ReadBufferSize is 0: it takes the reader that is hijacked.
		WriteBufferSize:   writeBuffer,
		WriteBufferPool:   &writeBuffers,
		EnableCompression: compress,
		// checkUpgrade has found everything that gorilla would answer.
		CheckOrigin: func(*http.Request) bool { return true },
		Error:       func(http.ResponseWriter, *http.Request, int, error) {},
	}
}

// A hijacker hands the connection to gorilla for the answer to the handshake, and to c
// for everything after it.
type hijacker struct {
	http.ResponseWriter
	c *conn
}

// Hijack implements http.Hijacker, also where middleware hides the server's own
// behind Unwrap.
func (h *hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	raw, rw, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	h.c.open(raw)
	return &answering{raw, h.c}, rw, nil
}

// answering is a connection while gorilla writes the answer.
type answering struct {
	net.Conn
	c *conn
}

func (a *answering) Write(p []byte) (int, error) {
	a.c.compress = bytes.Contains(p, []byte("Sec-WebSocket-Extensions: permessage-deflate"))
	a.c.out.armNow()
	return a.Conn.Write(p)
}

// checkUpgrade tells what is wrong with a request as a WebSocket handshake, or
// nil. It looks at everything that gorilla would refuse later, so that a refused
// handshake has one form of answer: 400 and a reason that names the header
// (B011).
func checkUpgrade(r *http.Request) error {
	switch {
	case r.ProtoMajor != 1 || r.ProtoMinor < 1:
		return errors.New("a WebSocket handshake must use HTTP/1.1")
	case r.Host == "":
		return errors.New("'host' header is absent")
	case !headerHas(r.Header, "Connection", "upgrade"):
		return errors.New("'connection' header must contain 'upgrade'")
	case !headerHas(r.Header, "Upgrade", "websocket"):
		return errors.New("'upgrade' header must contain 'websocket'")
	case len(r.Header["Sec-Websocket-Key"]) != 1:
		return errors.New("'sec-websocket-key' header must be given once")
	case !isChallengeKey(r.Header.Get("Sec-Websocket-Key")):
		return errors.New("'sec-websocket-key' header must be 16 bytes in base64")
	case !headerHas(r.Header, "Sec-Websocket-Version", "13"):
		return errors.New("'sec-websocket-version' header must be '13'")
	}
	return nil
}

// headerHas reports whether a comma-separated header has the token, in any case.
func headerHas(h http.Header, name, token string) bool {
	for item := range httptransport.Items(h[name]) {
		if strings.EqualFold(item, token) {
			return true
		}
	}
	return false
}

func isChallengeKey(key string) bool {
	decoded, err := base64.StdEncoding.DecodeString(key)
	return err == nil && len(decoded) == 16
}
