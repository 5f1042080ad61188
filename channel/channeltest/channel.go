package channeltest

import (
	"fmt"
	"time"

	"github.com/rollcall-go/rollcall/channel"
)

// A Channel is one join of a client.
type Channel struct {
	client   *Client
	topic    string
	joinRef  string
	response channel.Payload
	timeout  time.Duration
}

// Topic is what was joined.
func (ch *Channel) Topic() string { return ch.topic }

// Response is what the join was answered with.
func (ch *Channel) Response() channel.Payload { return ch.response }

// Push sends an event to the channel and returns its ref, for AwaitReply. A nil
// payload is {}; [channel.Binary] is sent as bytes.
func (ch *Channel) Push(event string, payload any) (ref string) {
	ch.client.t.Helper()
	ref = ch.client.nextRef()
	ch.client.send(ch.joinRef, ref, ch.topic, event, payload)
	return ref
}

// Leave leaves, without awaiting the answer.
func (ch *Channel) Leave() (ref string) {
	ch.client.t.Helper()
	return ch.Push("phx_leave", nil)
}

// Within is the channel with another [Timeout].
func (ch *Channel) Within(timeout time.Duration) *Channel {
	w := *ch
	w.timeout = timeout
	return &w
}

// AwaitReply awaits the answer to the message with ref. Only one with the
// status, and with want in its response, is taken.
func (ch *Channel) AwaitReply(ref, status string, want any) channel.Payload {
	ch.client.t.Helper()
	return ch.await(want, fmt.Sprintf("reply %q to %s", status, ref), func(m message) bool {
		return m.isReply() && m.ref == ref && m.status == status
	})
}

// RefuteReply fails the test if the message with ref was answered.
func (ch *Channel) RefuteReply(ref string) {
	ch.client.t.Helper()
	ch.refute(nil, "reply to "+ref, func(m message) bool { return m.isReply() && m.ref == ref })
}

// AwaitPush awaits an event that was pushed to this client alone.
func (ch *Channel) AwaitPush(event string, want any) channel.Payload {
	ch.client.t.Helper()
	return ch.await(want, fmt.Sprintf("push %q", event), ch.pushed(event))
}

// RefutePush fails the test if such a push came.
func (ch *Channel) RefutePush(event string, want any) {
	ch.client.t.Helper()
	ch.refute(want, fmt.Sprintf("push %q", event), ch.pushed(event))
}

// AwaitBroadcast awaits an event that was broadcast on the topic. One that the
// channel intercepts comes as what it pushes instead; see [Subscribe].
func (ch *Channel) AwaitBroadcast(event string, want any) channel.Payload {
	ch.client.t.Helper()
	return ch.await(want, fmt.Sprintf("broadcast %q", event), ch.broadcast(event))
}

// RefuteBroadcast fails the test if such a broadcast came.
func (ch *Channel) RefuteBroadcast(event string, want any) {
	ch.client.t.Helper()
	ch.refute(want, fmt.Sprintf("broadcast %q", event), ch.broadcast(event))
}

// AwaitEnd waits until Terminate of the channel was called, or would have been
// had it one, and returns the reason.
func (ch *Channel) AwaitEnd() (reason channel.Reason) {
	c := ch.client
	c.t.Helper()
	c.await(ch.timeout, fmt.Sprintf("end of the channel %q", ch.topic), func() (ok bool) {
		reason, ok = c.ends[ch.joinRef]
		return ok
	})
	return reason
}

func (ch *Channel) await(want any, what string, shape func(m message) bool) channel.Payload {
	ch.client.t.Helper()
	return ch.client.take(ch.timeout, wanted{what, shape, matcher(ch.client.t, want)}).payload
}

func (ch *Channel) refute(want any, what string, shape func(m message) bool) {
	ch.client.t.Helper()
	ch.client.refute(ch.timeout, wanted{what, shape, matcher(ch.client.t, want)})
}

func (ch *Channel) pushed(event string) func(m message) bool {
	return func(m message) bool { return !m.isReply() && m.joinRef == ch.joinRef && m.event == event }
}

func (ch *Channel) broadcast(event string) func(m message) bool {
	return func(m message) bool {
		return !m.isReply() && m.joinRef == "" && m.topic == ch.topic && m.event == event
	}
}
