package websocket

import (
	"bufio"
	"encoding/base64"
	"errors"
	"net"
	"net/http"
	"strings"

	gorilla "github.com/gorilla/websocket"

	"github.com/rollcall-go/rollcall/transport/internal/httptransport"
)

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

// headerHas tells whether a comma-separated header has the token, in any case.
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

// newUpgrader makes what has gorilla answer a handshake.
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

// A hijacker lets gorilla hijack the connection and get it wrapped, so that all
// its reads and writes pass through a wire, and read with the connection's own
// reader, if it has one: if not, gorilla's part ends with the handshake.
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
	wrapped := h.c.wrap(raw)
	if own := h.c.own; own != nil && rw.Reader.Buffered() == 0 { // else gorilla refuses it
		rw.Reader = own.reader
	}
	return wrapped, rw, nil
}
