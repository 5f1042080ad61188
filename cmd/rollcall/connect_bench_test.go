package main

import (
	"bytes"
	"fmt"
	"net"
	"strings"
	"testing"

	gorilla "github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/cmd/internal/serve/servetest"
)

// BenchmarkConnectAndJoin is a client that connects to the service over loopback,
// joins a room of its own and sees itself there: what "rollcall-bench conns"
// measures from outside, for profiles. Its client and its end are in the figures,
// and so is a log that is written to memory.
func BenchmarkConnectAndJoin(b *testing.B) {
	command := servetest.Start(b, newService(func(string) (string, bool) { return "", false }).app())
	address := strings.TrimPrefix(command.URL, "http://")
	request := "GET /socket/websocket?vsn=2.0.0 HTTP/1.1\r\nHost: " + address + "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
	var buf [4096]byte
	n := 0
	b.ReportAllocs()
	for b.Loop() {
		conn, err := net.Dial("tcp", address)
		require.NoError(b, err)
		_, err = conn.Write([]byte(request))
		require.NoError(b, err)
		got := 0
		readUntil := func(part string) {
			for !bytes.Contains(buf[:got], []byte(part)) {
				more, err := conn.Read(buf[got:])
				require.NoError(b, err)
				got += more
			}
		}
		readUntil("\r\n\r\n")
		n++
		join := fmt.Sprintf(`["1","1","room:%d","phx_join",{"key":"u%d","meta":{"n":1}}]`, n, n)
		_, err = conn.Write(maskedText(join))
		require.NoError(b, err)
		readUntil(fmt.Sprintf(`"u%d"`, n))
		conn.Close()
	}
}

// maskedText is a short text frame of a client, with a mask of zeros.
func maskedText(text string) []byte {
	return append([]byte{0x80 | gorilla.TextMessage, 0x80 | byte(len(text)), 0, 0, 0, 0}, text...)
}
