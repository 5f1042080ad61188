package longpoll

import (
	"context"
	"time"
)

// A call is a question to another replica, asked by an HTTP request.
type call struct {
	// Static.
	id     uint64
	to     replicaID
	notify chan struct{} // of capacity 1: something below has changed

	// Guarded by the relay's mu.
	waits       bool       // the poll waits there
	unreachable bool       // nobody got the question
	lost        bool       // the answer may be lost
	complete    bool       // status and data are the whole answer
	status      wireStatus // of the parts so far
	parts       uint64
	data        []byte
}

// tell is called with the relay's mu held.
func (c *call) tell() {
	select {
	case c.notify <- struct{}{}:
	default:
	}
}

func (r *relay) open(to replicaID) *call {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := &call{id: r.next, to: to, notify: make(chan struct{}, 1)}
	r.next++
	r.calls[c.id] = c
	return c
}

func (r *relay) shut(c *call) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.calls, c.id)
}

// answered is called by the bus's goroutine with an answer, or a part of one.
func (r *relay) answered(m wireMessage) {
	if r.accept(m) || m.status != answerMessages || !m.last {
		return
	}
	r.forsake(token{replica: m.from, client: m.client})
}

// accept reports whether somebody waits for the answer.
func (r *relay) accept(m wireMessage) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.calls[m.call]
	if c == nil || c.to != m.from || c.lost || c.complete {
		return false
	}
	switch {
	case m.status == answerWaiting:
		c.waits = true
	case m.part != c.parts, len(c.data)+len(m.data) > maxAnswer, c.parts > 0 && m.status != c.status:
		c.lost, c.data = true, nil
	default:
		c.parts++
		c.status = m.status
		c.data = append(c.data, m.data...)
		c.complete = m.last
		if !m.last {
			return true
		}
	}
	c.tell()
	return true
}

// state is what a call has come to; it forgets that nobody got the question.
func (r *relay) state(c *call) call {
	r.mu.Lock()
	defer r.mu.Unlock()
	state := *c
	c.unreachable = false
	return state
}

// forsake tells the replica of a client that what it gave did not arrive.
func (r *relay) forsake(to token) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sendDrop(to)
}

// sendDrop sends a drop, or keeps it until the bus is up again. The caller holds
// mu: a drop that fails is kept before the event "up" is handled.
func (r *relay) sendDrop(to token) {
	err := r.send(to.replica, wireMessage{kind: kindDrop, client: to.client})
	switch {
	case err == nil:
	case len(r.owed) < r.host.config.MaxSessions:
		r.owed = append(r.owed, to)
	default: // the session ends when it has not been polled for long
		r.host.config.Logger.Warn("longpoll: drop a session of another replica", "error", err)
	}
}

// ask asks the replica of a client and waits for the whole answer, data of
// which the caller gets. pollNothing here means that there is one.
func (r *relay) ask(ctx context.Context, to token, kind wireKind, data []byte) (wireStatus, []byte, outcome) {
	r.host.stats.relayed.Add(1)
	c := r.open(to.replica)
	defer r.shut(c)
	question := wireMessage{kind: kind, call: c.id, from: r.host.self, client: to.client, data: data}.encode()
	if err := r.conn.Request(to.replica.dest(), question); err != nil {
		r.host.stats.unanswered.Add(1)
		r.host.config.Logger.Warn("longpoll: ask another replica", "error", err)
		return 0, nil, pollGone
	}
	limit := time.NewTimer(r.host.config.RelayTimeout)
	defer limit.Stop()
	again := time.NewTimer(0)
	again.Stop()
	defer again.Stop()
	extended := false
	for {
		select {
		case <-c.notify:
			switch state := r.state(c); {
			case state.complete:
				return state.status, state.data, pollNothing
			case state.lost:
				r.host.stats.unanswered.Add(1)
				r.forsake(to)
				return 0, nil, pollGone
			case state.waits && !extended:
				extended = true
				limit.Reset(r.host.config.Window + r.host.config.RelayTimeout)
			case state.unreachable:
				again.Reset(retryUnreachable)
			}
		case <-again.C:
			_ = r.conn.Request(to.replica.dest(), question) // the limit tells
		case <-limit.C:
			r.host.stats.unanswered.Add(1)
			r.forsake(to)
			return 0, nil, pollGone
		case <-ctx.Done():
			r.giveUp(c, to)
			return 0, nil, pollCanceled
		case <-r.host.done:
			r.giveUp(c, to)
			return 0, nil, pollClosing
		}
	}
}

// giveUp ends a call that is not waited for. If its answer is under way, the
// session is told to end when that arrives.
func (r *relay) giveUp(c *call, to token) {
	_ = r.send(to.replica, wireMessage{kind: kindCancel, call: c.id, client: to.client})
}

// poll polls for a client of another replica.
func (r *relay) poll(ctx context.Context, to token) (messages []string, what outcome, lost func()) {
	status, data, what := r.ask(ctx, to, kindPoll, nil)
	if what != pollNothing {
		return nil, what, nil
	}
	lost = func() { r.forsake(to) }
	switch status {
	case answerNothing:
		return nil, pollNothing, nil
	case answerMessages:
		if ctx.Err() != nil {
			lost()
			return nil, pollCanceled, nil
		}
		decoded, err := decodeMessages(data)
		if err != nil {
			lost()
			return nil, pollGone, nil
		}
		for _, message := range decoded {
			messages = append(messages, string(message))
		}
		return messages, pollMessages, lost
	}
	return nil, pollGone, nil
}

// publish gives messages of a client to another replica, as many at a time as
// one message of the bus holds; each of them fits (Config.MaxFrame).
func (r *relay) publish(ctx context.Context, to token, entries []entry) wireStatus {
	room := r.host.config.Bus.MaxPayload() - wireHead
	for len(entries) > 0 {
		var data []byte
		for len(entries) > 0 && (data == nil || len(data)+len(entries[0].data)+askOverhead-wireHead <= room) {
			data = appendEntry(data, entries[0])
			entries = entries[1:]
		}
		status, _, what := r.ask(ctx, to, kindPublish, data)
		switch {
		case what != pollNothing:
			return answerGone
		case status != answerAccepted:
			return status
		}
	}
	return answerAccepted
}
