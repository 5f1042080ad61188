package websocket

import (
	"encoding/base64"
	"errors"
	"net/http"
	"strings"

	"github.com/rollcall-go/rollcall/transport/internal/httptransport"
)

// protocolPhoenix is the subprotocol that phoenix.js offers next to a token.
const protocolPhoenix = "phoenix"

var (
	errTwoAuthTokens = errors.New("more than one auth token in 'sec-websocket-protocol'")
	errBadAuthToken  = errors.New("the auth token in 'sec-websocket-protocol' is not base64")
	errNoProtocol    = errors.New("no subprotocol that the client offers is served")
)

// parseProtocols takes the subprotocols that a client offers apart: the auth
// token that one of them may carry, decoded, and the others in their order.
func parseProtocols(h http.Header) (offered []string, token string, err error) {
	hasToken := false
	for item := range httptransport.Items(h["Sec-Websocket-Protocol"]) {
		encoded, isToken := strings.CutPrefix(item, httptransport.AuthTokenPrefix)
		switch {
		case !isToken:
			offered = append(offered, item)
		case hasToken:
			return nil, "", errTwoAuthTokens
		default:
			hasToken = true
			if token, err = decodeAuthToken(encoded); err != nil {
				return nil, "", err
			}
		}
	}
	return offered, token, nil
}

var toStandardAlphabet = strings.NewReplacer("-", "+", "_", "/")

// decodeAuthToken decodes what phoenix.js sends: the standard alphabet without
// padding, in spite of the prefix (B015). The URL alphabet, which the prefix
// promises, and padding are understood too.
func decodeAuthToken(encoded string) (string, error) {
	encoded = toStandardAlphabet.Replace(strings.TrimRight(encoded, "="))
	if strings.ContainsAny(encoded, "\r\n") {
		return "", errBadAuthToken // the decoder would skip them
	}
	token, err := base64.RawStdEncoding.DecodeString(encoded)
	if err != nil {
		return "", errBadAuthToken // not err: it would show part of the token in logs
	}
	return string(token), nil
}

// chooseProtocol is the subprotocol to answer with, empty for none (B017). With
// no protocols configured, "phoenix" is answered where it is offered (a browser
// that offers something wants an answer) and anything else is let in without.
func chooseProtocol(served, offered []string) (string, error) {
	if len(offered) == 0 {
		return "", nil
	}
	strict := served != nil
	if !strict {
		served = []string{protocolPhoenix}
	}
	for _, s := range served {
		for _, o := range offered {
			if s == o {
				return s, nil
			}
		}
	}
	if strict {
		return "", errNoProtocol
	}
	return "", nil
}

// isToken reports whether s may stand in Sec-WebSocket-Protocol (RFC 9110, token).
func isToken(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] <= ' ' || s[i] >= 0x7f || strings.IndexByte(`()<>@,;:\"/[]?={}`, s[i]) >= 0 {
			return false
		}
	}
	return s != ""
}
