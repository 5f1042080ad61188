package channeltest

import "github.com/rollcall-go/rollcall/channel"

// A Channel is one join of a client.
type Channel struct {
	client   *Client
	topic    string
	joinRef  string
	response channel.Payload
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

// AwaitReply awaits the answer to the message with ref. Only one with the
// status, and with want in its response, is taken.
func (ch *Channel) AwaitReply(ref, status string, want any) channel.Payload {
	ch.client.t.Helper()
	match := matcher(ch.client.t, want)
	return ch.client.take("reply "+status+" to "+ref, func(m message) bool {
		return m.isReply() && m.ref == ref && m.status == status && match(m.payload)
	}).payload
}

// RefuteReply fails the test if the message with ref was answered.
func (ch *Channel) RefuteReply(ref string) {
	ch.client.t.Helper()
	ch.client.refute("a reply to "+ref, func(m message) bool { return m.isReply() && m.ref == ref })
}

// AwaitPush awaits an event that was pushed to this client alone.
func (ch *Channel) AwaitPush(event string, want any) channel.Payload {
	ch.client.t.Helper()
	return ch.client.take("push "+event, ch.pushed(event, want)).payload
}

// RefutePush fails the test if such a push came.
func (ch *Channel) RefutePush(event string, want any) {
	ch.client.t.Helper()
	ch.client.refute("push "+event, ch.pushed(event, want))
}

// AwaitBroadcast awaits an event that was broadcast on the topic. One that the
// channel intercepts comes as what it pushes instead.
func (ch *Channel) AwaitBroadcast(event string, want any) channel.Payload {
	ch.client.t.Helper()
	return ch.client.take("broadcast "+event, ch.broadcast(event, want)).payload
}

// RefuteBroadcast fails the test if such a broadcast came.
func (ch *Channel) RefuteBroadcast(event string, want any) {
	ch.client.t.Helper()
	ch.client.refute("broadcast "+event, ch.broadcast(event, want))
}

// AwaitEnd waits until Terminate of the channel was called, or would have been
// had it one, and returns the reason.
func (ch *Channel) AwaitEnd() (reason channel.Reason) {
	c := ch.client
	c.t.Helper()
	c.await("end of the channel "+ch.topic, func() (ok bool) {
		reason, ok = c.ends[ch.joinRef]
		return ok
	})
	return reason
}

func (ch *Channel) pushed(event string, want any) func(m message) bool {
	ch.client.t.Helper()
	match := matcher(ch.client.t, want)
	return func(m message) bool {
		return !m.isReply() && m.joinRef == ch.joinRef && m.event == event && match(m.payload)
	}
}

func (ch *Channel) broadcast(event string, want any) func(m message) bool {
	ch.client.t.Helper()
	match := matcher(ch.client.t, want)
	return func(m message) bool {
		return !m.isReply() && m.joinRef == "" && m.topic == ch.topic && m.event == event && match(m.payload)
	}
}
