package server_test

import (
	"strings"
	"testing"
	"testing/synctest"
)

// The sockets that no recorded transcript uses, in the transcripts' notation.
func TestSockets(t *testing.T) {
	for name, transcript := range map[string]string{
		"who may connect": `
-- [a] connect /socket/websocket?vsn=2.0.0
-- [a] refused: HTTP 403 Forbidden | body: 
-- [a] connect /socket/websocket?user=ratelimited&vsn=2.0.0
-- [a] refused: HTTP 429 Too Many Requests | body: Too many requests
-- [a] connect /socket/websocket?user=a&vsn=9.0.0
-- [a] refused: HTTP 403 Forbidden | body: 
-- [a] connect /socket/websocket?user=a | origin: http://elsewhere.example
-- [a] 101 Switching Protocols
>> [a] {"topic":"phoenix","event":"heartbeat","payload":{},"ref":"1"}
<< [a] {"topic":"phoenix","event":"phx_reply","payload":{"status":"ok","response":{}},"ref":"1"}`,
		"origins": `
-- [a] connect /origin/websocket?user=a&vsn=2.0.0 | origin: http://elsewhere.example
-- [a] refused: HTTP 403 Forbidden | body: 
-- [a] connect /origin/websocket?user=a&vsn=2.0.0 | origin: https://localhost:9
-- [a] 101 Switching Protocols
-- [b] connect /origin/websocket?user=a&vsn=2.0.0
-- [b] 101 Switching Protocols`,
		"the token is the user": `
-- [a] connect /auth/websocket?vsn=2.0.0
-- [a] refused: HTTP 403 Forbidden | body: 
-- [a] connect /auth/websocket?vsn=2.0.0 | sec-websocket-protocol: phoenix, base64url.bearer.phx.Ym9i
-- [a] 101 Switching Protocols | sec-websocket-protocol: phoenix
>> [a] ["1","1","echo:a","phx_join",{"bare":true}]
<< [a] ["1","1","echo:a","phx_reply",{"status":"ok","response":{}}]
>> [a] ["1","2","echo:a","tell_secret",{}]
<< [a] ["1",null,"echo:a","secret",{"for":"bob"}]`,
		"short": `
-- [a] connect /short/websocket?user=a&vsn=2.0.0
-- [a] 101 Switching Protocols
-- [a] closed code=1002 reason=""
-- [b] connect /short/websocket?user=b&vsn=2.0.0
>> [b] [null,"1","phoenix","heartbeat",{"x":"` + strings.Repeat("x", 65000) + `"}]
<< [b] [null,"1","phoenix","phx_reply",{"status":"ok","response":{}}]
>> [b] [null,"1","phoenix","heartbeat",{"x":"` + strings.Repeat("x", 66000) + `"}]
-- [b] closed code=1009 reason=""`,
		"from outside, and to a user": `
-- [a] connect /socket/websocket?user=a&vsn=2.0.0
-- [b] connect /socket/websocket?user=b&vsn=2.0.0
>> [a] ["1","1","echo:a","phx_join",{"bare":true}]
<< [a] ["1","1","echo:a","phx_reply",{"status":"ok","response":{}}]
>> [http] GET /broadcast?topic=echo:a&event=news&k=v&n=1
<< [http] 200 OK | content-type: text/plain; charset=utf-8 | body: ok
<< [a] [null,null,"echo:a","news",{"k":"v","n":"1"}]
>> [b] ["2","2","echo:b","phx_join",{"bare":true}]
<< [b] ["2","2","echo:b","phx_reply",{"status":"ok","response":{}}]
>> [b] ["2","3","echo:b","disconnect_user",{"user":"a"}]
-- [a] closed code=1001 reason=""`,
		"later": `
-- [a] connect /socket/websocket?user=a&vsn=2.0.0
>> [a] ["1","1","echo:a","phx_join",{"bare":true}]
<< [a] ["1","1","echo:a","phx_reply",{"status":"ok","response":{}}]
>> [a] ["1","2","echo:a","async",{}]
>> [a] ["1","3","echo:a","async",{"after":5000}]
<< [a] ["1","2","echo:a","phx_reply",{"status":"ok","response":{}}]
<< [a] ["1","3","echo:a","phx_reply",{"status":"ok","response":{"after":5000}}]`,
		"what is no frame": `
-- [a] connect /socket/websocket?user=a&vsn=2.0.0
>> [a] nonsense
-- [a] closed code=1011 reason=""`,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { play(t, strings.TrimPrefix(transcript, "\n")) })
		})
	}
}
