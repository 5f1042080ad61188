package longpoll

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/rollcall-go/rollcall/channel/wire"
)

// A remoteCall names a call of another replica.
type remoteCall struct {
	from replicaID
	call uint64
}

// A remotePoll is a poll of another replica that waits here. It takes part in
// what Close waits for until it is forgotten; whoever forgets it answers it.
type remotePoll struct {
	// Static.
	key    remoteCall
	client *client
	poll   poll
	window *time.Timer
}

// servePoll is called by the bus's goroutine.
func (r *relay) servePoll(m wireMessage) {
	c := r.host.lookup(m.client)
	if c == nil || !r.host.enter() {
		r.answer(m.from, m.call, m.client, answerGone, nil)
		return
	}
	p := &remotePoll{key: remoteCall{m.from, m.call}, client: c}
	p.poll.wake = func() { go r.finish(p) } // locks are held that a bus must not wait for
	if !r.remember(p) {
		r.host.leave()
		r.answer(m.from, m.call, m.client, answerTimeout, nil)
		return
	}
	r.host.stats.served.Add(1)
	frames, what := c.start(&p.poll)
	if what == pollWaits {
		r.answer(m.from, m.call, m.client, answerWaiting, nil)
		return
	}
	if r.forget(p.key) == p {
		r.answerPoll(p, frames, what)
	}
}

// remember refuses a call that is known, and one too many.
func (r *relay) remember(p *remotePoll) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.polls[p.key] != nil || len(r.polls) >= r.host.config.MaxSessions {
		return false
	}
	r.polls[p.key] = p
	p.window = time.AfterFunc(r.host.config.Window, func() { r.finish(p) })
	return true
}

// forget returns the poll of a call, to its first caller.
func (r *relay) forget(key remoteCall) *remotePoll {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.polls[key]
	if p != nil {
		delete(r.polls, key)
		p.window.Stop()
	}
	return p
}

// finish answers a poll that was woken or whose window is over.
func (r *relay) finish(p *remotePoll) {
	if r.forget(p.key) == p {
		frames, what := p.client.finish(&p.poll)
		r.answerPoll(p, frames, what)
	}
}

// answerPoll answers a poll that was forgotten, and ends its part.
func (r *relay) answerPoll(p *remotePoll, frames []*wire.Frame, what outcome) {
	defer r.host.leave()
	switch what {
	case pollMessages:
		var data []byte
		for _, f := range frames {
			data = appendMessage(data, f.Data)
		}
		if len(data) > maxAnswer || !r.answer(p.key.from, p.key.call, p.client.id, answerMessages, data) {
			p.client.stop(ending{wire.ReasonClosed, endLost})
		}
	case pollGone:
		r.answer(p.key.from, p.key.call, p.client.id, answerGone, nil)
	default: // nothing came, or a later poll takes what comes
		r.answer(p.key.from, p.key.call, p.client.id, answerNothing, nil)
	}
}

// cancel is called by the bus's goroutine: nobody waits for that poll's answer.
func (r *relay) cancel(key remoteCall) {
	if p := r.forget(key); p != nil {
		defer r.host.leave()
		p.client.withdraw(&p.poll)
	}
}

// drop is called by the bus's goroutine.
func (r *relay) drop(id clientID) {
	if c := r.host.lookup(id); c != nil {
		c.stop(ending{wire.ReasonClosed, endLost})
	}
}

// finishAll answers all polls that wait, those that were overtaken too.
func (r *relay) finishAll() {
	r.mu.Lock()
	polls := slices.Collect(maps.Values(r.polls))
	r.mu.Unlock()
	for _, p := range polls {
		r.finish(p)
	}
}

// servePublish is called by the bus's goroutine. What the client sent is handled
// by another: to wait for the client's turn would hold up the bus.
func (r *relay) servePublish(m wireMessage) {
	c := r.host.lookup(m.client)
	entries, err := decodeEntries(m.data)
	if err != nil {
		r.host.stats.garbage.Add(1)
		r.host.config.Logger.Warn("longpoll: messages on the bus ignored", "error", err)
	}
	if c == nil || err != nil || !r.host.enter() {
		r.answer(m.from, m.call, m.client, answerGone, nil)
		return
	}
	if !r.takeOn() {
		r.host.leave()
		r.answer(m.from, m.call, m.client, answerTimeout, nil)
		return
	}
	r.host.stats.served.Add(1)
	go func() {
		defer r.host.leave()
		defer r.release()
		status := c.receive(context.Background(), entries)
		r.answer(m.from, m.call, m.client, status, nil)
	}()
}

func (r *relay) takeOn() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.busy == maxBusy {
		return false
	}
	r.busy++
	return true
}

func (r *relay) release() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.busy--
}

// answer sends an answer in parts that the bus carries, and tells whether the
// bus has taken all.
func (r *relay) answer(to replicaID, call uint64, id clientID, status wireStatus, data []byte) bool {
	room := r.host.config.Bus.MaxPayload() - answerOverhead
	rest := bytes.NewBuffer(data)
	for part := uint64(0); ; part++ {
		m := wireMessage{kind: kindAnswer, call: call, client: id, status: status, part: part, data: rest.Next(room)}
		m.last = rest.Len() == 0
		if err := r.send(to, m); err != nil {
			r.host.config.Logger.Warn("longpoll: answer another replica", "error", err)
			return false
		}
		if m.last {
			return true
		}
	}
}
