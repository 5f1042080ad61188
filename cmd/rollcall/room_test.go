package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/transport/membus"
)

func quoted(n int) string { return `"` + strings.Repeat("x", n) + `"` }

func TestJoinIsRefusedWithWhatIsMissing(t *testing.T) {
	c := connect(t, newEndpoint(t, membus.New().Bus(), "a"))
	tests := []struct {
		name, payload, reason string
	}{
		{"no key", `{}`, `"key" is missing`},
		{"no key but a meta", `{"meta":{}}`, `"key" is missing`},
		{"null key", `{"key":null}`, `"key" is missing`},
		{"empty key", `{"key":""}`, `"key" must be a string of 1 to 255 bytes`},
		{"number as key", `{"key":7}`, `"key" must be a string`},
		{"key too long", `{"key":` + quoted(256) + `}`, `"key" must be a string of 1 to 255 bytes`},
		{"array as meta", `{"key":"k","meta":[]}`, `"meta" must be an object`},
		{"text as meta", `{"key":"k","meta":"x"}`, `"meta" must be an object`},
		{"meta too large", `{"key":"k","meta":{"x":` + quoted(8<<10) + `}}`, `"meta" is too large: 8200 bytes, at most 8192`},
		{"meta too large when escaped", `{"key":"k","meta":{"x":"` + strings.Repeat("<", 8000) + `"}}`, `"meta" is too large: 48008 bytes`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := c.ask("room:1", "phx_join", test.payload)
			require.Equal(t, "error", r.Status)
			require.Contains(t, r.reason(), test.reason)
		})
	}
	for _, payload := range []string{`[]`, `"x"`, `null`} {
		r := c.ask("room:1", "phx_join", payload)
		require.Equal(t, "error", r.Status, payload)
	}
	require.Equal(t, `{"reason":"unmatched topic"}`, string(c.ask("lobby", "phx_join", `{"key":"k"}`).Response))
	// Refusals leave nothing behind.
	c.join("room:1", `{"key":"k"}`)
	require.Equal(t, map[string][]map[string]any{"k": {{}}}, people(t, string(c.ask("room:1", "list", `{}`).Response)))
}

func TestJoinAtTheLimitsIsAccepted(t *testing.T) {
	c := connect(t, newEndpoint(t, membus.New().Bus(), "a"))
	c.join("room:1", `{"key":`+quoted(255)+`,"meta":{"x":`+quoted(8<<10-len(`{"x":""}`))+`}}`)
}

func TestJoinSendsTheStateAndThenTheOwnEntryAsADiff(t *testing.T) {
	endpoint := newEndpoint(t, membus.New().Bus(), "a")
	alice, bob := connect(t, endpoint), connect(t, endpoint)
	alice.join("room:1", `{"key":"alice","meta":{"color":"red","phx_ref":"mine"}}`)

	ref := bob.push("room:1", "phx_join", `{"key":"bob"}`)
	answer := bob.next()
	require.Equal(t, "phx_reply", answer.event)
	require.Equal(t, ref, *answer.ref)
	require.JSONEq(t, `{"status":"ok","response":{}}`, string(answer.payload))
	state := bob.next()
	require.Equal(t, "presence_state", state.event)
	require.NotContains(t, string(state.payload), "mine")
	require.Equal(t, map[string][]map[string]any{"alice": {{"color": "red"}}}, people(t, string(state.payload)))
	diff := bob.next()
	require.Equal(t, "presence_diff", diff.event)
	require.Regexp(t, `^\{"joins":\{"bob":\{"metas":\[\{"phx_ref":"[^"]+"\}\]\}\},"leaves":\{\}\}$`, string(diff.payload))
	require.Equal(t, string(diff.payload), alice.await("presence_diff"))
}

func TestUpdateMetaRepliesWithTheRefThatEverybodySees(t *testing.T) {
	endpoint := newEndpoint(t, membus.New().Bus(), "a")
	alice, bob := connect(t, endpoint), connect(t, endpoint)
	alice.join("room:1", `{"key":"alice","meta":{"old":true}}`)
	bob.join("room:1", `{"key":"bob"}`)
	alice.await("presence_diff") // bob's

	r := alice.ask("room:1", "update_meta", `{"meta":{"new":true}}`)
	require.Equal(t, "ok", r.Status)
	var response map[string]string
	require.NoError(t, json.Unmarshal(r.Response, &response))
	require.Len(t, response, 1)
	diff := bob.await("presence_diff")
	require.Contains(t, diff, `{"joins":{"alice":{"metas":[{"phx_ref":"`+response["phx_ref"]+`","phx_ref_prev":`)
	require.Contains(t, diff, `"new":true}]}},"leaves":{"alice":`)

	for payload, reason := range map[string]string{
		`{}`:                                   `"meta" is missing`,
		`{"meta":null}`:                        `"meta" is missing`,
		`{"meta":[]}`:                          `"meta" must be an object`,
		`[1]`:                                  `the payload must be an object`,
		`{"meta":{"x":` + quoted(8<<10) + `}}`: `"meta" is too large: 8200 bytes`,
	} {
		r := alice.ask("room:1", "update_meta", payload)
		require.Equal(t, "error", r.Status)
		require.Contains(t, r.reason(), reason)
	}
	list := people(t, string(alice.ask("room:1", "list", `{}`).Response))
	require.Equal(t, []map[string]any{{"new": true}}, list["alice"], "a refused update changes nothing")
}

func TestUntrackEndsThePresenceAndNotTheMembership(t *testing.T) {
	endpoint := newEndpoint(t, membus.New().Bus(), "a")
	alice, bob := connect(t, endpoint), connect(t, endpoint)
	alice.join("room:1", `{"key":"alice"}`)
	bob.join("room:1", `{"key":"bob"}`)
	for range 2 {
		require.Equal(t, reply{"ok", json.RawMessage(`{}`)}, alice.ask("room:1", "untrack", `{}`))
	}
	require.Regexp(t, `^\{"joins":\{\},"leaves":\{"alice":`, bob.await("presence_diff"))
	require.Contains(t, alice.ask("room:1", "update_meta", `{"meta":{}}`).reason(), "not tracked")
	require.Equal(t, "ok", bob.ask("room:1", "broadcast", `{"event":"hi"}`).Status)
	require.Equal(t, `{}`, alice.await("hi"))
}

func TestTwoDevicesOfOneUserAreTwoMetasOfOneKey(t *testing.T) {
	endpoint := newEndpoint(t, membus.New().Bus(), "a")
	phone, laptop := connect(t, endpoint), connect(t, endpoint)
	phone.join("room:1", `{"key":"alice","meta":{"on":"phone"}}`)
	laptop.join("room:1", `{"key":"alice","meta":{"on":"laptop"}}`)
	require.Contains(t, phone.awaitDiff("joins", "alice"), "laptop")
	require.Equal(t, []map[string]any{{"on": "phone"}, {"on": "laptop"}}, people(t, string(phone.ask("room:1", "list", `{}`).Response))["alice"])
	require.Equal(t, "ok", phone.ask("room:1", "untrack", `{}`).Status)
	require.Equal(t, []map[string]any{{"on": "laptop"}}, people(t, string(phone.ask("room:1", "list", `{}`).Response))["alice"])
}

func TestBroadcastReachesEverybodyInTheRoomAndNobodyElse(t *testing.T) {
	network := membus.New()
	a, b := newEndpoint(t, network.Bus(), "a"), newEndpoint(t, network.Bus(), "b")
	alice, bob, carol := connect(t, a), connect(t, b), connect(t, a)
	alice.join("room:1", `{"key":"alice"}`)
	bob.join("room:1", `{"key":"bob"}`)
	carol.join("room:2", `{"key":"carol"}`)
	require.Equal(t, "ok", alice.ask("room:1", "broadcast", `{"event":"say","payload":{"text":"hé <&> \u2028"}}`).Status)
	// The sender has it before the reply, so ask has dropped that; one more.
	require.Equal(t, "ok", bob.ask("room:1", "broadcast", `{"event":"say","payload":{"n":2}}`).Status)
	require.JSONEq(t, `{"n":2}`, alice.await("say"))
	require.Equal(t, "ok", carol.ask("room:2", "broadcast", `{"event":"done"}`).Status)
	require.Empty(t, carol.messages, "of room:1 came nothing")
}

func TestBroadcastThatCannotBeIsRefused(t *testing.T) {
	network := membus.New(membus.MaxPayload(16 << 10))
	c := connect(t, newEndpoint(t, network.Bus(), "a"))
	c.join("room:1", `{"key":"alice"}`)
	for payload, reason := range map[string]string{
		`{}`:                            `"event" is missing`,
		`{"payload":{}}`:                `"event" is missing`,
		`{"event":""}`:                  `"event" is missing`,
		`{"event":7}`:                   `the payload must be an object: {"event": "..."`,
		`[]`:                            `the payload must be an object`,
		`{"event":"phx_close"}`:         `must not begin with "phx_" or "presence_"`,
		`{"event":"phx_"}`:              `"phx_" does`,
		`{"event":"presence_state"}`:    `"presence_state" does`,
		`{"event":"presence_diff"}`:     `"presence_diff" does`,
		`{"event":` + quoted(256) + `}`: `1 to 255 bytes`,
		`{"event":"e","payload":[]}`:    `"payload" must be an object`,
		`{"event":"e","payload":"x"}`:   `"payload" must be an object`,
	} {
		r := c.ask("room:1", "broadcast", payload)
		require.Equal(t, "error", r.Status, payload)
		require.Contains(t, r.reason(), reason)
	}
	r := c.ask("room:1", "broadcast", `{"event":"e","payload":{"x":`+quoted(20<<10)+`}}`)
	require.Contains(t, r.reason(), "too large for other replicas")
}

func TestBroadcastsAboveTheRateAreRefusedAndReachNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		endpoint := newEndpoint(t, membus.New().Bus(), "a")
		alice, bob := connect(t, endpoint), connect(t, endpoint)
		bob.join("room:1", `{"key":"bob"}`)
		alice.join("room:1", `{"key":"alice"}`)
		say := func(times int) {
			for range times {
				require.Equal(t, "ok", alice.ask("room:1", "broadcast", `{"event":"say"}`).Status)
				require.Equal(t, "{}", bob.await("say"))
			}
			r := alice.ask("room:1", "broadcast", `{"event":"say"}`)
			require.Equal(t, "error", r.Status)
			require.Equal(t, "too many broadcasts: at most 100 a second", r.reason())
		}
		say(defaultBroadcastRate / 5) // who has just joined
		time.Sleep(50 * time.Millisecond)
		say(5)
		time.Sleep(time.Minute)
		say(2 * defaultBroadcastRate)
		time.Sleep(50 * time.Millisecond)
		say(5)
		require.Equal(t, "ok", bob.ask("room:1", "broadcast", `{"event":"mine"}`).Status, "each has its own")
		require.Empty(t, bob.messages)

		quiet := connect(t, endpoint)
		quiet.join("room:1", `{"key":"quiet"}`)
		time.Sleep(time.Second)
		for range defaultBroadcastRate * 6 / 5 {
			require.Equal(t, "ok", quiet.ask("room:1", "broadcast", `{"event":"late"}`).Status, "what it did not say before counts too")
		}
		require.Equal(t, "error", quiet.ask("room:1", "broadcast", `{"event":"late"}`).Status)
	})
}

func TestUnknownEventIsRefusedAndTheChannelLives(t *testing.T) {
	c := connect(t, newEndpoint(t, membus.New().Bus(), "a"))
	c.join("room:1", `{"key":"alice"}`)
	r := c.ask("room:1", "dance", `{}`)
	require.Equal(t, "error", r.Status)
	require.Equal(t, `unknown event "dance": there are broadcast, list, untrack and update_meta`, r.reason())
	require.Less(t, len(c.ask("room:1", strings.Repeat("é", 100_000), `{}`).reason()), 1000)
	require.Equal(t, "ok", c.ask("room:1", "list", `{}`).Status)
}

// Whatever a client sends to its room is answered, ok or with a reason, and
// neither ends its channel nor anybody else's.
func FuzzEveryPushIsAnswered(f *testing.F) {
	for _, event := range []string{"update_meta", "untrack", "broadcast", "list", "dance", "phx_join"} {
		for _, payload := range []string{`{}`, `{"key":"k","meta":{"a":[1]}}`, `{"event":"e","payload":{}}`, `{"event":"presence_diff"}`, `[]`, `null`, `1e999`, `{"key":"\ud800","meta":{"phx_ref":1,"phx_ref":2}}`} {
			f.Add(event, payload)
		}
	}
	endpoint := newEndpoint(f, membus.New().Bus(), "a")
	other := connect(f, endpoint)
	other.join("room:1", `{"key":"other"}`)
	f.Fuzz(func(t *testing.T, event, payload string) {
		name, err := json.Marshal(event)
		if err != nil || !json.Valid([]byte(payload)) || !utf8.ValidString(payload) || event == "phx_leave" {
			return
		}
		c := connect(t, endpoint)
		if event != "phx_join" {
			c.join("room:1", `{"key":"k"}`)
		}
		c.refs++
		c.send(fmt.Sprintf(`["1","%d","room:1",%s,%s]`, c.refs, name, payload))
		for {
			m := c.next()
			require.NotEqual(t, "phx_error", m.event)
			require.NotEqual(t, "phx_close", m.event)
			if m.event != "phx_reply" || *m.ref != fmt.Sprint(c.refs) {
				continue
			}
			var r reply
			require.NoError(t, json.Unmarshal(m.payload, &r))
			if r.Status != "ok" {
				require.Equal(t, "error", r.Status)
				require.NotEmpty(t, r.reason())
				require.NotEqual(t, "join crashed", r.reason())
			}
			break
		}
		for len(other.messages) > 0 {
			require.NotEqual(t, "phx_error", (<-other.messages).event)
		}
	})
}
