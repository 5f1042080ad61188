// Package channeltest tests channels without sockets: a [Client] connects to a
// handler and joins its topics as a client does, and awaits what it is sent.
//
//	synctest.Test(t, func(t *testing.T) {
//		client := channeltest.Connect(t, channeltest.Start(t, channel.Config{}), handler, nil)
//		room := client.MustJoin("room:lobby", map[string]any{"name": "alice"})
//		ref := room.Push("msg", map[string]any{"text": "hi"})
//		room.AwaitReply(ref, "ok", nil)
//		room.AwaitBroadcast("msg", map[string]any{"text": "hi"})
//		room.RefutePush("msg", nil)
//		room.Leave()
//		require.Equal(t, channel.ReasonLeft, room.AwaitEnd())
//	})
//
// Everything between the two is the real thing: Connect and the routes of the
// handler, the protocol (version 2), the channel's goroutine, pub/sub and
// presence. Payloads have been through JSON, as they have for a client.
//
// # Matching
//
// What is wanted of a payload is nil for anything, a func(channel.Payload) bool,
// or a value: then the payload must contain it. An object contains another one
// when it has all of its keys with values that contain the other's; anything
// else must be equal, after JSON. [channel.Binary] matches the same bytes.
//
// Each Await takes the first message that matches, and leaves all others for
// later calls. It fails the test after [Timeout], with all that was there
// instead.
//
// # Time
//
// Tests are best run in a bubble of testing/synctest: deadlines pass in virtual
// time, and the Refute functions wait until everything is quiet, so that they
// neither sleep nor miss anything. Outside of a bubble Await works, in real time,
// and Refute panics.
//
// # Concurrency and shutdown
//
// All methods are for the goroutine of the test. Start and Connect end what they
// made with the test, and wait for it.
package channeltest
