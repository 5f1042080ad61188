package channel

import (
	"fmt"
	"net"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/channel/wire"
)

// Every refusal of this package, by its cause: what the client is told, and what
// the log says. Those of the transports are tested where they are.
func TestRejectionsAreToldToTheClientAndTheLog(t *testing.T) {
	const who = ` transport=test remote=192.0.2.1:7`
	const known = who + ` id=users:bob`
	long := "echo:" + strings.Repeat("x", 300)
	blocked := strings.Repeat(`["1","2","slow:a","ping",{"x":"0123456789"}]`+"\n", 6)
	answer := func(topic, reason string) string {
		return fmt.Sprintf(`["1","1","%s","phx_reply",{"status":"error","response":{"reason":"%s"}}]`, topic, reason)
	}
	for _, c := range []struct {
		cause   wire.Cause
		query   string // of the connection
		prepare func(*Endpoint)
		frames  string // what the client sends
		want    string // the last that it is sent,
		code    int    // the status that it is refused with or the code that it is closed with
		log     string
	}{
		{wire.CauseVersion, "vsn=9.0.0", nil, ``, ``, 403, `WARN msg="channel: rejected" cause=version` + who + ` code=403 error="channel: connection refused with 403: channel: unsupported protocol version: \"9.0.0\""`},
		{wire.CauseDraining, "", func(e *Endpoint) { _ = e.Drain(t.Context()) }, ``, ``, 503, `INFO msg="channel: rejected" cause=draining` + who + ` code=503 error="channel: connection refused with 503: channel: closed"`},
		{wire.CauseFault, "fault=1", nil, ``, ``, 500, `ERROR msg="channel: rejected" cause=fault` + who + ` code=500 error="channel: connection refused with 500: channel: the Handler was not made by NewHandler"`},
		{wire.CauseUnmatched, "", nil, `["1","1","nowhere","phx_join",{}]`, `[null,"1","nowhere","phx_reply",{"status":"error","response":{"reason":"unmatched topic"}}]`, 0, `WARN msg="channel: rejected" cause=unmatched_topic` + known + ` topic=nowhere`},
		{wire.CauseTopicLength, "", nil, `["1","1","` + long + `","phx_join",{}]`, answer(long, "topic too long"), 0, `WARN msg="channel: rejected" cause=topic_length` + known + ` topic=` + long[:wire.MaxTopic] + `... limit=255`},
		{wire.CauseJoinRate, "", nil, strings.Repeat(`["1","1","echo:a","phx_join",{}]`+"\n", 4), answer("echo:a", "too many joins"), 0, `WARN msg="channel: rejected" cause=join_rate` + known + ` topic=echo:a limit=0.5`},
		{wire.CauseChannels, "", nil, `["1","1","echo:a","phx_join",{}]` + "\n" + `["1","1","echo:b","phx_join",{}]` + "\n" + `["1","1","echo:c","phx_join",{}]`, answer("echo:c", "too many channels joined"), 0, `WARN msg="channel: rejected" cause=channels` + known + ` topic=echo:c limit=2`},
		{wire.CauseOverloaded, "crowded=1", nil, `["1","1","stuck:a","phx_join",{}]` + "\n" + `["1","1","stuck:b","phx_join",{}]` + "\n" + `["1","1","stuck:c","phx_join",{}]`, answer("stuck:c", "overloaded"), 0, `WARN msg="channel: rejected" cause=overloaded` + known + ` topic=stuck:c limit=1`},
		{wire.CauseMailbox, "", nil, `["1","1","slow:a","phx_join",{}]` + "\n" + blocked, `["1","1","slow:a","phx_error",{"reason":"channel_crash"}]`, 0, `WARN msg="channel: rejected" cause=mailbox` + known + ` topic=slow:a limit=4 error="channel: mailbox full: 4 pieces of mail"`},
		{wire.CauseMailbox, "bytes=1", nil, `["1","1","slow:a","phx_join",{}]` + "\n" + blocked, `["1","1","slow:a","phx_error",{"reason":"channel_crash"}]`, 0, `WARN msg="channel: rejected" cause=mailbox` + known + ` topic=slow:a limit=50 error="channel: mailbox full: 50 bytes"`},
		{wire.CauseMalformed, "", nil, `{"no":"array"}`, ``, 1011, `WARN msg="channel: rejected" cause=malformed` + known + ` code=1011 error=`},
		{wire.CauseFlood, "messages=2", nil, strings.Repeat(`[null,"4","phoenix","heartbeat",{}]`+"\n", 4), `[null,"4","phoenix","phx_reply",{"status":"ok","response":{}}]`, 1013, `WARN msg="channel: rejected" cause=flood` + known + ` limit=1 code=1013`},
		{wire.CauseText, "", nil, "[\"\xff\"]", ``, 1007, `WARN msg="channel: rejected" cause=text` + known + ` code=1007`},
	} {
		bubble(t, func(t *testing.T) {
			params, err := url.ParseQuery(c.query)
			require.NoError(t, err)
			log, text := testLog()
			var tr trace
			cfg := Config{
				Logger: log, MaxChannels: 2, JoinRate: 0.5, JoinBurst: 3, MailboxSize: 4,
				Telemetry: []Telemetry{{Reject: func(r RejectEvent) { tr.add("%s %v %d", r.Cause, r.Limit, r.Code) }}},
			}
			if params.Has("bytes") {
				cfg.MailboxSize, cfg.MailboxBytes = 100, 50
			}
			if params.Has("messages") {
				cfg.MessageRate, cfg.MessageBurst = 1, 2
			}
			if params.Has("crowded") {
				cfg.MaxChannels, cfg.MaxJoinsRunning, cfg.MaxJoinsWaiting, cfg.JoinWait = 3, 1, 1, 3*time.Hour
			}
			e := startOne(t, cfg)
			if c.prepare != nil {
				c.prepare(e)
			}
			h := referenceHandler(t)
			slow := Route{Pattern: "slow:*", New: func() Channel {
				return script{in: func(*Socket, string, Payload) Result { time.Sleep(time.Hour); return NoReply() }}
			}}
			stuck := Route{Pattern: "stuck:*", New: func() Channel {
				return script{join: func(*Socket, Payload) (any, error) { time.Sleep(time.Hour); return nil, nil }}
			}}
			h.Routes = append(h.Routes, slow, stuck)
			if params.Has("fault") {
				h = &Handler{}
			}
			if !params.Has("vsn") {
				params.Set("vsn", "2.0.0")
			}
			params.Set("user", "bob")
			info := wire.ConnectInfo{Transport: "test", Params: params, RemoteAddr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 7}}
			conn, err := e.Connect(t.Context(), h, info)
			code := 0
			if err != nil {
				code = err.(*ConnectError).Status
			} else {
				link := &testLink{}
				conn.Start(link)
				for frame := range strings.Lines(c.frames) {
					if refused := conn.Receive(false, []byte(frame)); refused != nil {
						code = refused.Code
					}
					synctest.Wait()
				}
				require.Contains(t, text.String(), "level="+c.log, "at once, not when a callback returns")
				time.Sleep(2 * time.Hour)
				if c.want != "" {
					frames := (&client{t: t, conn: conn, link: link}).take()
					require.Contains(t, frames, c.want)
				}
				conn.Closed(wire.ReasonClosed)
			}
			require.Equal(t, c.code, code)
			require.Contains(t, text.String(), "level="+c.log)
			told := tr.take()
			require.Len(t, told, 1)
			require.Contains(t, told[0], string(c.cause)+" ")
			require.Contains(t, wire.Causes(), c.cause)
		})
	}
}

func TestLoggedRejectionsAreBoundedAndCounted(t *testing.T) {
	bubble(t, func(t *testing.T) {
		log, text := testLog()
		told := 0
		e := startOne(t, Config{Logger: log, Telemetry: []Telemetry{{Reject: func(RejectEvent) { told++ }}}})
		c := connect(t, e, referenceHandler(t), "user=bob")
		for range 1000 {
			c.send(`["1","1","nowhere","phx_join",{}]`)
		}
		require.Equal(t, rejectBurst, strings.Count(text.String(), "channel: rejected"))
		require.Equal(t, 1000, told, "hooks are told of all")
		time.Sleep(time.Second)
		c.send(`["1","1","nowhere","phx_join",{}]`)
		require.Contains(t, text.String(), "not_logged=800")
		c.send(`["1","1","nowhere","phx_join",{}]`)
		require.Equal(t, 1, strings.Count(text.String(), "not_logged"))
		require.Equal(t, rejectBurst+2, strings.Count(text.String(), "channel: rejected"))
	})
}
