package presence

import (
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// decisions turns fuzzed bytes into small decisions.
type decisions struct{ rest []byte }

func (d *decisions) next() uint64 {
	if len(d.rest) == 0 {
		return 0
	}
	b := d.rest[0]
	d.rest = d.rest[1:]
	return uint64(b)
}

// number is mostly small and sometimes at the edge of what fits.
func (d *decisions) number() uint64 {
	n := d.next()
	if n >= 250 {
		return 1<<64 - 1 - (255 - n)
	}
	return n % 24
}

// FuzzHostile feeds a replica with well-formed messages that no honest replica
// would send: any numbers, any order, from three names, one of them its own.
// Nothing panics, its own entries stay, what it keeps is bounded, and once the
// liar is silent it is gone.
func FuzzHostile(f *testing.F) {
	f.Add([]byte("\x00\x02\x01\x00\x00\x03\x01\x02\x03\x04\x05\x06\x07\x08\x09"))
	f.Add([]byte{2, 0, 1, 1, 2, 0, 1, 2, 0, 0, 0, 7, 3, 2, 9, 9, 4, 0, 1, 1, 0, 0, 12, 5})
	f.Add([]byte{2, 0, 255, 255, 0, 0, 255, 1, 1, 254, 253, 252, 4, 0, 1, 0, 0, 0, 251})
	f.Fuzz(func(t *testing.T, data []byte) {
		r, now := startTestReplica(Config{Name: "us", PermdownPeriod: 15 * time.Second})
		require.NoError(t, r.Acquire(now, "room", true))
		dot, err := r.Track(now, "room", "me", []byte(`{"mine":true}`))
		require.NoError(t, err)
		d := &decisions{rest: data}
		if d.next()%2 == 1 {
			r.AcquireAll(now)
		}
		r.Ready()
		for step := 0; len(d.rest) > 0 && step < 400; step++ {
			r.receive(hostile(d, r))
			now = now.Add(time.Duration(d.next()%8) * 100 * time.Millisecond)
			r.Tick(now)
			r.Ready()

			meta, held := r.Entry("room", dot)
			require.True(t, held)
			require.JSONEq(t, `{"mine":true}`, string(meta.Data))
			require.LessOrEqual(t, len(r.members), 2)
			for _, topic := range r.topics {
				for _, v := range topic.views {
					require.LessOrEqual(t, len(v.rarely().held), holdBack)
				}
			}
		}
		for range 40 { // beyond permdown, with our own heartbeats coming back
			now = now.Add(time.Second)
			r.Tick(now)
			r.receive(message{kind: kindHeartbeat, name: "us", epoch: r.epoch, beat: r.beat})
			r.Ready()
		}
		list := r.List("room")
		require.Len(t, list.Presences, 1)
		require.Equal(t, "me", list.Presences[0].Key)
		topics, _ := r.Topics()
		require.Equal(t, []string{"room"}, topics)
	})
}

// hostile is a message that decode lets through, with nothing true in it; but for
// r, which may be nil, it may guess the question that is due.
func hostile(d *decisions, r *Replica) message {
	kinds := []kind{kindDelta, kindTip, kindHeartbeat, kindSync, kindReply, kindAlive, kindNack, kindLeave, kindProbe, kindSyncAll, kindPage}
	m := message{
		kind: kinds[d.next()%uint64(len(kinds))], name: []string{"eu", "ap", "us"}[d.next()%3],
		epoch: max(d.number(), 1), beat: d.number(), max: d.number(), silent: d.number() * 1000,
	}
	switch m.kind {
	case kindSyncAll, kindPage:
		first := uint8(d.next() % sliceCount)
		m.page = page{nonce: d.number(), since: d.number(), first: first, end: first + 1 + uint8(d.next()%uint64(sliceCount-first)), at: d.number(), of: 1 + d.next()%3}
		m.page.index = d.next() % m.page.of
		if r != nil && r.members[m.name] != nil && r.members[m.name].whole != nil && d.next()%2 == 0 {
			w := r.members[m.name].whole
			m.epoch = r.members[m.name].epoch
			m.page.nonce, m.page.first, m.page.end = w.nonce, w.next, max(w.end, 1)
		}
	}
	switch m.kind {
	case kindDelta, kindTip, kindSync, kindReply, kindPage:
		p := topicPart{
			topic: []string{"room", "other"}[d.next()%2], nonce: d.number(), seq: d.number(), at: d.number(),
			count: d.number(), hash: d.number(), chunks: 1 + d.next()%3,
		}
		p.chunk = d.next() % p.chunks
		for n := d.next() % 3; n > 0; n-- {
			p.others = append(p.others, d.number())
		}
		p.delta = hostileDelta(d)
		m.parts = []topicPart{p}
	}
	return m
}

func hostileDelta(d *decisions) delta {
	x := delta{Base: d.number()}
	x.From = max(x.Base, d.number())
	x.To = max(x.From, d.number())
	last := uint64(0)
	for n := d.next() % 4; n > 0; n-- {
		dot := last + 1 + d.next()%4
		if dot > x.To {
			break
		}
		x.Adds = append(x.Adds, entry{Dot: dot, Origin: 1 + d.next()%dot, Key: fmt.Sprint("k", d.next()%3), Value: value{meta: []byte(`{}`)}})
		last = dot
	}
	for n := d.next() % 3; n > 0; n-- {
		x.Rems = binaryInsert(x.Rems, d.number())
		x.Keep = binaryInsert(x.Keep, d.number())
	}
	return x
}

func binaryInsert(list []uint64, dot uint64) []uint64 {
	if len(list) > 0 && dot <= list[len(list)-1] {
		return list
	}
	return append(list, dot)
}

// What cannot be told apart from an honest message must still survive decoding.
func TestHostileMessagesAreWellFormed(t *testing.T) {
	for seed := range byte(200) {
		d := &decisions{rest: []byte{4, seed, seed / 3, seed, 5, 6, seed, 8, 9, 10, 11, seed, 2, 3, seed, 1, 1, 2}}
		m := hostile(d, nil)
		b := appendHeader(nil, kindReply, m.name, m.epoch, m.epoch)
		setVersion(b, jointVersion)
		b = binary.AppendUvarint(b, uint64(len(m.parts)))
		for _, p := range m.parts {
			b = appendPart(b, p, jointVersion)
		}
		_, err := decode(b, wireVersion)
		require.NoError(t, err)
	}
}
