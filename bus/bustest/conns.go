package bustest

import "github.com/rollcall-go/rollcall/bus"

func callbacksAreSerial(r *rig) {
	a, b := r.listen("x"), r.listen()
	a.settle(b)
	a.block()
	b.send("x", "1", "2")
	a.begun()
	r.must(a.Request("nothing", nil), "request")
	b.send("x", "3")
	r.never(a.entered, "a callback begins while another one runs")
	a.unblock()
	got := append(a.until("!unreachable nothing"), a.heard(b)...)
	r.equal([]string{"1", "2", "3"}, got, "everything is delivered")
}

func closeWaits(r *rig) {
	a, b := r.listen("x"), r.listen()
	a.settle(b)
	a.block()
	b.send("x", "1", "2", "3")
	a.begun()
	closed := make(chan struct{})
	go func() {
		a.stop()
		close(closed)
	}()
	r.never(closed, "Close returns while a callback runs")
	a.unblock()
	r.await(closed, "Close does not return")
	got, _ := a.take("")
	r.equal([]string{"1"}, got, "no callback begins after Close was called")
	b.send("x", "4")
	a.Close() // again
	r.never(a.entered, "a callback begins after Close")
}

func closedLanesForget(r *rig) {
	a, b := r.listen("x"), r.listen()
	otherA, otherB := r.listenOn(a.on, other, "x"), r.listenOn(b.on, other)
	r.must(a.SubscribeAll("t"), "subscribe to a class")
	otherA.settle(otherB)
	a.settle(b)
	a.stop()
	r.mustBe(bus.ErrClosed, a.Subscribe("x"), "subscribe")
	r.mustBe(bus.ErrClosed, a.SubscribeAll("t"), "subscribe to a class")
	r.mustBe(bus.ErrClosed, a.Publish("x", nil), "publish")
	r.mustBe(bus.ErrClosed, a.Request("x", nil), "request")
	r.must(a.Unsubscribe("x"), "unsubscribe")
	r.must(a.UnsubscribeAll("t"), "unsubscribe a class")

	again := r.listenOn(a.on, lane, "y")
	again.settle(b)
	b.send("x", "1")
	b.send("t:x", "2")
	b.send("y", "3")
	otherB.send("x", "4")
	r.equal([]string{"3"}, again.heard(b), "opened again")
	r.equal([]string{"4"}, otherA.heard(otherB), "another lane stays subscribed")
}

func lanesAreOpenOnce(r *rig) {
	a := r.listen()
	ignore := bus.Handler{Message: func([]byte) {}}
	_, err := a.on.Open(lane, ignore)
	r.mustBe(bus.ErrLaneOpen, err, "open an open lane")
	_, err = a.on.Open(other, bus.Handler{Event: func(bus.Event, string) {}})
	r.mustBe(bus.ErrHandler, err, "open without Message")
	conn, err := a.on.Open(other, ignore)
	r.must(err, "open a lane that could not be opened before")
	r.must(conn.Request("nothing", nil), "request, ignoring events")
	conn.Close()
}

// closeEndsGoroutines opens and closes; each check looks for goroutines at its end.
func closeEndsGoroutines(r *rig) {
	a, b := r.listen("x"), r.listen()
	a.settle(b)
	for range 10 {
		conn, err := a.on.Open(other, bus.Handler{Message: func([]byte) {}})
		r.must(err, "open")
		r.must(conn.Subscribe("x"), "subscribe")
		conn.Close()
	}
}
