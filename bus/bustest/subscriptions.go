package bustest

import (
	"slices"
)

func subscribingIsIdempotent(r *rig) {
	a, b := r.listen("x", "x"), r.listen()
	a.settle(b)
	b.send("x", "once")
	r.equal([]string{"once"}, a.heard(b), "subscribed twice")
	r.must(a.Unsubscribe("x"), "unsubscribe")
	b.send("x", "never")
	r.equal(nil, a.heard(b), "unsubscribed once")
	r.must(a.Unsubscribe("x"), "unsubscribe")
	r.must(a.Unsubscribe("y"), "unsubscribe, never subscribed")
	r.must(a.Subscribe("x"), "subscribe")
	a.settle(b)
	b.send("x", "again")
	r.equal([]string{"again"}, a.heard(b), "subscribed again")
}

func classesAreReceived(r *rig) {
	a, b := r.listen(), r.listen()
	otherA, otherB := r.listenOn(a.on, other, "t:x"), r.listenOn(b.on, other)
	r.must(a.SubscribeAll("t"), "subscribe to a class")
	r.must(a.SubscribeAll("t"), "subscribe to a class, a second time")
	a.settle(b)
	otherA.settle(otherB)
	b.send("t:x", "1")
	b.send("t:*", "2")
	b.send("t:", "3")
	b.send("t:x:y", "4")
	b.send("r:x", "another class")
	b.send("tt:x", "another class")
	b.send("t", "no class")
	otherB.send("t:x", "another lane")
	otherB.send("t:y", "another lane")
	r.equal([]string{"1", "2", "3", "4"}, a.heard(b), "the class")
	r.equal([]string{"another lane"}, otherA.heard(otherB), "another lane, without the class")

	r.must(a.UnsubscribeAll("t"), "unsubscribe a class")
	r.must(a.UnsubscribeAll("t"), "unsubscribe a class, a second time")
	r.must(a.UnsubscribeAll("r"), "unsubscribe a class, never subscribed")
	b.send("t:x", "late")
	otherB.send("t:x", "still")
	r.equal(nil, a.heard(b), "unsubscribed")
	r.equal([]string{"still"}, otherA.heard(otherB), "another lane stays subscribed")
}

func classesAreIndependent(r *rig) {
	a, b := r.listen("t:x"), r.listen()
	r.must(a.SubscribeAll("t"), "subscribe to a class")
	a.settle(b)
	b.send("t:x", "1", "2")
	both := a.heard(b)
	r.equal([]string{"1", "2"}, slices.Compact(slices.Sorted(slices.Values(both))), "subscribed to both")
	r.check(len(both) <= 4, "delivered more than twice: %q", both)

	r.must(a.UnsubscribeAll("t"), "unsubscribe a class")
	a.settle(b)
	b.send("t:x", "3")
	b.send("t:y", "4")
	r.equal([]string{"3"}, a.heard(b), "subscribed to the destination")

	r.must(a.SubscribeAll("t"), "subscribe to a class")
	r.must(a.Unsubscribe("t:x"), "unsubscribe")
	a.settle(b)
	b.send("t:x", "5")
	b.send("t:y", "6")
	r.equal([]string{"5", "6"}, a.heard(b), "subscribed to the class")
}

func requestsAreUnreachable(r *rig) {
	a, b := r.listen("r:a"), r.listen("r:b")
	otherA := r.listenOn(a.on, other)
	a.settle(a)
	b.settle(a)
	otherA.settle(otherA)
	a.request("r:b", "1")
	a.request("r:a", "2")
	r.equal([]string{"1"}, b.heard(a), "a request is a message")
	r.equal([]string{"2"}, a.heard(a), "both are reachable")

	r.must(b.Unsubscribe("r:b"), "unsubscribe")
	r.equal(nil, a.provoke("!unreachable r:b", func() { a.request("r:b", "3") }), "unreachable, and nothing else")
	r.equal(nil, otherA.heard(otherA), "another lane did not ask")
	b.settle(a)
	r.equal(nil, b.heard(a), "unsubscribed")
}
