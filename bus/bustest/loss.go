package bustest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/rollcall-go/rollcall/bus"
)

// overflowsAreLost has a queue of 16 KiB, and sends four times as much.
func overflowsAreLost(r *rig) {
	const messages = 64
	slow, from := r.listen("x"), r.listen()
	free, otherFrom := r.listenOn(slow.on, other, "x"), r.listenOn(from.on, other)
	slow.settle(from)
	free.settle(otherFrom)
	slow.block()
	padding := strings.Repeat(" ", 1<<10)
	for i := range messages {
		from.send("x", fmt.Sprint(i, padding))
		if i == 0 {
			slow.begun()
		}
		otherFrom.send("x", fmt.Sprint(i))
		if i%8 == 7 {
			r.check(len(free.heard(otherFrom)) == 8, "messages of another lane are lost")
		}
	}
	slow.unblock()
	got := slow.provoke("over", func() { from.send(slow.mark, "over") })
	last, received := -1, 0
	for _, text := range got {
		if text == "!lost" {
			continue
		}
		i, err := strconv.Atoi(strings.TrimSpace(text))
		r.must(err, "number of a message")
		r.check(i > last, "message %d is delivered after %d", i, last)
		last = i
		received++
	}
	r.check(received < messages, "a queue of 16 KiB holds 64 KiB")
	if !slices.Contains(got, "!lost") {
		slow.until("!lost")
	}
}

func brokenLinksAreReported(r *rig) {
	if r.net.Disconnect == nil {
		r.t.Skip("Network.Disconnect is nil")
	}
	a, b := r.listen("x"), r.listen("x")
	a.settle(a, b)
	b.settle(a)
	r.net.Disconnect(a.on)
	r.equal(nil, a.until("!down"), "down, and nothing else")
	r.mustBe(bus.ErrDown, a.Publish("x", []byte("stale")), "publish")
	r.mustBe(bus.ErrDown, a.Request("x", []byte("stale")), "request")
	r.must(a.Subscribe("y"), "subscribe, while the link is down")
	late := r.listenOn(a.on, other)
	r.equal(nil, late.until("!down"), "a lane that is opened while the link is down")
	b.send("x", "missed")
	r.equal([]string{"missed"}, b.heard(b), "another link is up")

	r.net.Reconnect(a.on)
	for _, l := range []*listener{a, late} {
		r.equal(nil, l.until("!up"), "up, and nothing else")
		r.equal(nil, l.until("!lost"), "lost after up")
	}
	a.settle(b)
	r.equal(nil, b.settle(a), "nothing is sent late")
	b.send("x", "1")
	b.send("y", "2")
	r.equal([]string{"1", "2"}, a.heard(b), "subscribed before and while the link was down")
	b.until("1")
	a.send("x", "3")
	r.equal([]string{"3"}, b.heard(a), "publishing works again")
}
