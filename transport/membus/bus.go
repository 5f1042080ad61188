package membus

import (
	"errors"
	"fmt"
	"slices"

	"github.com/rollcall-go/rollcall/transport/internal/lane"
)

// MaxDest is the most bytes a destination may have.
const MaxDest = lane.MaxDest

// Errors of the methods of [Bus], wrapped with what was asked for.
var (
	// ErrLaneOpen: Listen on a lane that is open.
	ErrLaneOpen = errors.New("membus: lane is open already")
	// ErrLaneClosed: Subscribe on a lane that is not open.
	ErrLaneClosed = errors.New("membus: lane is not open")
	// ErrNilCallback: Listen without receive or event.
	ErrNilCallback = errors.New("membus: callback is nil")
	// ErrDest: a destination that is empty, longer than MaxDest bytes or not
	// UTF-8.
	ErrDest = errors.New("membus: invalid destination")
	// ErrPayload: a message of more than MaxPayload bytes.
	ErrPayload = errors.New("membus: message too large")
	// ErrDown: Publish or Request while disconnected.
	ErrDown = errors.New("membus: disconnected")
)

// Bus is one replica's attachment to a [Net]. Its methods may be called
// concurrently.
type Bus struct {
	net *Net // static

	// guarded by net.mu
	lanes map[byte]*openLane
	down  bool
}

// An openLane is one open lane of one bus.
type openLane struct {
	bus   *Bus        // static
	name  byte        // static
	queue *lane.Queue // has its own lock

	dests map[string]struct{} // and whole classes; guarded by net.mu
}

// Listen opens a lane: messages are given to receive and events to event, from
// one goroutine, one call at a time, in the order of arrival. data belongs to
// the callee. A lane may be open once at a time (ErrLaneOpen).
//
// stop closes the lane, drops its subscriptions and what waits in its queue,
// and returns when no call is running and none will come. It may be called
// more than once, but not from receive or event, which it would wait for.
func (b *Bus) Listen(name byte, receive func(data []byte), event func(event, dest string)) (stop func(), err error) {
	if receive == nil || event == nil {
		return nil, fmt.Errorf("%w: listen on lane %q", ErrNilCallback, name)
	}
	b.net.mu.Lock()
	defer b.net.mu.Unlock()
	if b.lanes[name] != nil {
		return nil, fmt.Errorf("%w: %q", ErrLaneOpen, name)
	}
	l := &openLane{
		bus:   b,
		name:  name,
		queue: lane.Start(b.net.queueBytes, !b.down, receive, event),
		dests: make(map[string]struct{}),
	}
	b.lanes[name] = l
	b.net.lanes[name] = append(b.net.lanes[name], l)
	return func() {
		l.close()
		l.queue.Wait()
	}, nil
}

// close takes the lane from the bus and ends its goroutine, without waiting.
func (l *openLane) close() {
	b := l.bus
	b.net.mu.Lock()
	defer b.net.mu.Unlock()
	if b.lanes[l.name] == l {
		delete(b.lanes, l.name)
		b.net.lanes[l.name] = slices.DeleteFunc(b.net.lanes[l.name], func(other *openLane) bool { return other == l })
	}
	l.queue.Close()
}

// Subscribe makes the lane receive what is published to dest on the same lane
// of any bus. It does nothing where the lane is subscribed already, and works
// while disconnected. Errors: ErrDest, ErrLaneClosed.
func (b *Bus) Subscribe(name byte, dest string) error {
	if err := checkDest(dest); err != nil {
		return err
	}
	return b.subscribe(name, dest)
}

func (b *Bus) subscribe(name byte, dest string) error {
	b.net.mu.Lock()
	defer b.net.mu.Unlock()
	l := b.lanes[name]
	if l == nil {
		return fmt.Errorf("%w: subscribe to %q on lane %q", ErrLaneClosed, dest, name)
	}
	l.dests[dest] = struct{}{}
	return nil
}

// Unsubscribe ends a subscription; what is in the queue already is still
// given. It does nothing where there is none, or the lane is not open.
// Error: ErrDest.
func (b *Bus) Unsubscribe(name byte, dest string) error {
	if err := checkDest(dest); err != nil {
		return err
	}
	b.unsubscribe(name, dest)
	return nil
}

func (b *Bus) unsubscribe(name byte, dest string) {
	b.net.mu.Lock()
	defer b.net.mu.Unlock()
	if l := b.lanes[name]; l != nil {
		delete(l.dests, dest)
	}
}

// SubscribeAll makes the lane receive what is published to every destination of
// a class, which is what stands before a destination's first colon. What the lane
// is subscribed to on its own as well, it receives twice. Errors: those of
// Subscribe.
func (b *Bus) SubscribeAll(name byte, class string) error {
	if err := checkDest(class); err != nil {
		return err
	}
	return b.subscribe(name, everything(class))
}

// UnsubscribeAll ends SubscribeAll, as Unsubscribe ends Subscribe.
func (b *Bus) UnsubscribeAll(name byte, class string) error {
	if err := checkDest(class); err != nil {
		return err
	}
	b.unsubscribe(name, everything(class))
	return nil
}

// everything stands for all destinations of a class among the subscriptions. It
// is no destination: those are UTF-8.
func everything(class string) string { return class + ":\xff" }

// Settings is what must be the same on all buses: nothing.
func (b *Bus) Settings() string { return "" }

// Publish gives a copy of data to all that are subscribed to dest on this
// lane, this bus included. The lane need not be open here.
// Errors: ErrDest, ErrPayload, ErrDown.
func (b *Bus) Publish(name byte, dest string, data []byte) error {
	return b.publish(name, dest, data, false)
}

// Request is Publish, and tells the lane "unreachable" with dest where no
// connected bus, this one included, had a subscriber.
func (b *Bus) Request(name byte, dest string, data []byte) error {
	return b.publish(name, dest, data, true)
}

func (b *Bus) publish(name byte, dest string, data []byte, request bool) error {
	if err := checkDest(dest); err != nil {
		return err
	}
	if len(data) > b.net.maxPayload {
		return fmt.Errorf("%w: %d bytes to %q, at most %d", ErrPayload, len(data), dest, b.net.maxPayload)
	}
	b.net.mu.Lock()
	defer b.net.mu.Unlock()
	if b.down {
		return fmt.Errorf("%w: publish to %q", ErrDown, dest)
	}
	if !b.net.send(name, dest, data) && request {
		if l := b.lanes[name]; l != nil {
			l.queue.Unreachable(dest)
		}
	}
	return nil
}

// MaxPayload is the most bytes one message may have.
func (b *Bus) MaxPayload() int { return b.net.maxPayload }

// Disconnect cuts this bus off, as the loss of a network connection does:
// lanes are told "down", Publish and Request return ErrDown, and nothing that
// others publish arrives. Subscriptions stay. It does nothing while down.
func (b *Bus) Disconnect() { b.setDown(true) }

// Reconnect undoes [Bus.Disconnect]: lanes are told "up", and then "lost",
// because others may have published meanwhile.
func (b *Bus) Reconnect() { b.setDown(false) }

func (b *Bus) setDown(down bool) {
	b.net.mu.Lock()
	defer b.net.mu.Unlock()
	if b.down == down {
		return
	}
	b.down = down
	for _, l := range b.lanes { // each has its own queue: the order is not seen
		l.queue.Link(!down)
	}
}

func checkDest(dest string) error {
	if fault := lane.DestFault(dest); fault != "" {
		return fmt.Errorf("%w: %s", ErrDest, fault)
	}
	return nil
}
