package bustest

import (
	"fmt"
	"strings"
	"sync"

	"github.com/rollcall-go/rollcall/bus"
)

func messagesReachSubscribers(r *rig) {
	a, b := r.listen("x"), r.listen("x", "y")
	otherA, otherB := r.listenOn(a.on, other), r.listenOn(b.on, other, "x", "y")
	a.settle(a)
	b.settle(a)
	otherB.settle(otherA)
	a.send("x", "1")
	a.send("y", "2")
	a.send("z", "3")
	a.send("x", "")
	otherA.send("y", "4")
	r.equal([]string{"1", ""}, a.heard(a), "the sender")
	r.equal([]string{"1", "2", ""}, b.heard(a), "another bus")
	r.equal([]string{"4"}, otherB.heard(otherA), "another lane")
}

// orderHolds has several senders at a time, in batches that no bus is too slow for.
func orderHolds(r *rig) {
	const senders, batches, messages, dests = 3, 5, 100, 20
	to := r.listen()
	for i := range dests {
		r.must(to.Subscribe(bus.TopicDest(fmt.Sprint(i))), "subscribe")
		r.must(to.Subscribe(fmt.Sprint(i)), "subscribe")
	}
	var from [senders]*listener
	for s := range from {
		from[s] = r.listen()
	}
	to.settle(from[:]...)
	for batch := range batches {
		var sending sync.WaitGroup
		for s, l := range from {
			sending.Go(func() {
				for i := range messages {
					dest := fmt.Sprint(i % dests)
					if i%3 == 0 {
						dest = bus.TopicDest(dest)
					}
					if err := l.Publish(dest, fmt.Appendf(nil, "%d %d %d", s, batch, i)); err != nil {
						r.t.Errorf("publish: %v", err)
					}
				}
			})
		}
		sending.Wait()
		var got []string
		for _, l := range from {
			got = append(got, to.heard(l)...)
		}
		var next [senders]int
		for _, text := range got {
			var s, b, i int
			_, err := fmt.Sscanf(text, "%d %d %d", &s, &b, &i)
			r.must(err, text)
			r.check(b == batch && i == next[s], "message %d of batch %d of sender %d is delivered, not message %d of batch %d", i, b, s, next[s], batch)
			next[s]++
		}
		r.check(len(got) == senders*messages, "%d messages are delivered, not %d", len(got), senders*messages)
	}
}

func nothingIsAWildcard(r *rig) {
	hard := []string{
		"t:*", "t:>", "*", ">", "t:%2A", "t:a.b", "t:a.*", "t:a.>", "t: ", "t:\t\r\n", "t:\x00", "t:é\u2028", ".", "..", "$SYS.>", "t:?", "t:[a-z]", "t:#", "+",
		strings.Repeat("*", bus.MaxDest),
	}
	a, b := r.listen(hard...), r.listen()
	a.settle(b)
	for _, dest := range []string{"t:x", "x", "t:a.c", "t:a", "t:", "all"} {
		b.send(dest, dest)
	}
	var want []string
	for _, dest := range hard {
		b.send(dest, dest)
		want = append(want, dest)
	}
	r.equal(want, a.heard(b), "each destination is itself alone")
}

// dataBelongsToItsReceiver needs nothing special: every listener overwrites what it is
// given, and every sender what it gave.
func dataBelongsToItsReceiver(r *rig) {
	a, b := r.listen("x"), r.listen("x")
	a.settle(a)
	b.settle(a)
	var want []string
	for i := range 100 {
		want = append(want, strings.Repeat(fmt.Sprint(i), i))
	}
	a.send("x", want...)
	r.equal(want, a.heard(a), "the sender")
	r.equal(want, b.heard(a), "another bus")
}

func destinationsAreChecked(r *rig) {
	a, b := r.listen(), r.listen()
	for _, dest := range []string{"", "\xff", "t:\xff", strings.Repeat("x", bus.MaxDest+1)} {
		r.mustBe(bus.ErrDest, a.Subscribe(dest), "subscribe")
		r.mustBe(bus.ErrDest, a.Unsubscribe(dest), "unsubscribe")
		r.mustBe(bus.ErrDest, a.SubscribeAll(dest), "subscribe to a class")
		r.mustBe(bus.ErrDest, a.UnsubscribeAll(dest), "unsubscribe a class")
		r.mustBe(bus.ErrDest, a.Publish(dest, nil), "publish")
		r.mustBe(bus.ErrDest, a.Request(dest, nil), "request")
	}
	for _, dest := range []string{"x", "\x00", strings.Repeat("é", bus.MaxDest/2)} {
		r.must(a.Subscribe(dest), "subscribe")
		a.settle(b)
		b.send(dest, dest)
		r.equal([]string{dest}, a.heard(b), "valid destinations")
	}
}

func payloadsAreChecked(r *rig) {
	a, b := r.listen("x", bus.TopicDest("x")), r.listen()
	a.settle(b)
	limit := b.on.MaxPayload()
	largest := strings.Repeat("x", limit)
	for _, dest := range []string{"x", bus.TopicDest("x")} {
		r.mustBe(bus.ErrPayload, b.Publish(dest, make([]byte, limit+1)), "publish more than MaxPayload")
		r.mustBe(bus.ErrPayload, b.Request(dest, make([]byte, limit+1)), "request with more than MaxPayload")
		b.send(dest, largest)
		got := a.heard(b)
		r.check(len(got) == 1 && got[0] == largest, "the largest message to %q is not delivered", dest)
	}
}

func settingsAgree(r *rig) {
	a, b := r.net.Bus().Settings(), r.net.Bus().Settings()
	r.check(a == b, "settings are %q and %q", a, b)
}
