// Package channeltest tests channels without sockets: a [Client] connects to a
// handler and joins its topics as a client does, and awaits what it is sent.
//
//	func TestRoom(t *testing.T) {
//		client := channeltest.Connect(t, channeltest.Start(t, channel.Config{}), handler, nil)
//		room := client.MustJoin("room:lobby", map[string]any{"name": "alice"})
//		ref := room.Push("msg", map[string]any{"text": "hi"})
//		room.AwaitReply(ref, "ok", nil)
//		room.AwaitBroadcast("msg", map[string]any{"text": "hi"})
//		room.RefutePush("msg", nil)
//		room.Leave()
//		require.Equal(t, wire.ReasonLeft, room.AwaitEnd())
//	}
//
// Everything between the two is the real thing: Connect and the routes of the
// handler, the protocol (version 2), the channel's goroutine, pub/sub and
// presence. The example is a whole test.
//
// A [Subscriber] is the test as a part of the program: it gets all broadcasts of a
// topic, also those that channels intercept, and it broadcasts to them.
//
// # Matching
//
// What is wanted of a payload is nil for anything, a func(channel.Payload) bool
// (see [Where]), or a value: then the payload must contain it. An object contains
// another one when it has all of its keys with values that contain the other's;
// anything else must be equal, after JSON. [channel.Binary] matches the same bytes.
//
// Each Await takes the first message that matches, returns its payload, and leaves
// all others for later calls. It fails the test after [Timeout], or what Within
// said, with all that was there instead and what was taken before.
//
// # Native values and JSON
//
// A payload has both: Decode reads its JSON, and that is what is matched, as it is
// what a client gets. Value is what the program gave, if that was on this replica:
// an assertion can be about a struct of the application. What the test pushes has
// been through JSON, as it would have come from a client.
//
// # Time
//
// The Refute functions fail when a message came, and first let everything happen
// that was caused before.
//
// In a bubble of testing/synctest that is all there is: they wait until every
// goroutine waits. Deadlines pass in virtual time, so that neither an Await nor a
// test of something that takes hours takes longer than its work. This is the best
// place for a test.
//
// Outside of a bubble they wait until the endpoint is idle: no callback of a channel
// runs or has mail, nor a plain subscriber's, nor Fetch, and what the tracker had
// to tell was told. That takes as long as the work does, and no fixed time. What
// they cannot know of is what is yet to come from a timer (such as diffs that are
// merged in a busy room), from a goroutine of the application, or from another
// replica. A callback that does not return within the timeout fails the test.
//
// # Concurrency and shutdown
//
// All methods are for the goroutine of the test. Start and Connect end what they
// made with the test, and wait for it.
package channeltest
