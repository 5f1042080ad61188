package replica

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
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

// FuzzHostile feeds a replica, which may be a mirror, with well-formed messages
// that no honest replica would send: any numbers, any order, from four names, one
// of them its own. Nothing panics, its own entries stay, what it keeps is
// bounded, and once the liar is silent nothing is left of it.
func FuzzHostile(f *testing.F) {
	f.Add(false, []byte("\x00\x02\x01\x00\x00\x03\x01\x02\x03\x04\x05\x06\x07\x08\x09"))
	f.Add(false, []byte{2, 0, 1, 1, 2, 0, 1, 2, 0, 0, 0, 7, 3, 2, 9, 9, 4, 0, 1, 1, 0, 0, 12, 5})
	f.Add(false, []byte{2, 0, 255, 255, 0, 0, 255, 1, 1, 254, 253, 252, 4, 0, 1, 0, 0, 0, 251})
	f.Add(true, []byte{2, 0, 1, 1, 0, 0, 2, 0, 10, 0, 1, 0, 0, 0, 0, 0, 64, 9, 0, 1, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 1, 1, 9})
	f.Fuzz(lieTo)
}

// What a fuzzer takes long to find out: hundreds of lies in a row.
func TestAReplicaOutlivesManyLies(t *testing.T) {
	for seed := range uint64(300) {
		chance := rand.New(rand.NewPCG(seed, 1))
		data := make([]byte, 3000)
		for i := range data {
			data[i] = byte(chance.Uint64())
		}
		lieTo(t, seed%2 == 0, data)
	}
}

// lieTo tells a replica what data says.
func lieTo(t *testing.T, mirror bool, data []byte) {
	const maxTopics, replicas = 4, 2
	r, now := newTestReplica("us", func(c *Config) {
		c.PermdownPeriod, c.MaxTopics, c.MaxReplicas = 15*time.Second, maxTopics, replicas
	})
	r.nonce = 0 // for the liar to guess some
	require.NoError(t, r.Acquire(now, "room", true))
	if mirror {
		r.AcquireAll(now)
	}
	dot, err := r.Track(now, "room", "me", []byte(`{"mine":true}`))
	require.NoError(t, err)
	r.Ready()
	d := &decisions{rest: data}
	for step := 0; len(d.rest) > 0 && step < 400; step++ {
		switch what := d.next(); {
		case what < 230:
			r.receive(hostile(d, r))
		case what < 240:
			if p := r.peers["eu"]; p != nil {
				r.Unreachable(now, r.address(p.name, p.epoch))
			}
		case what < 245:
			r.Lost(now)
		case what < 250:
			_ = r.Acquire(now, "other", true)
		default:
			r.Release(now, "other", true)
		}
		now = now.Add(time.Duration(d.next()%8) * 100 * time.Millisecond)
		r.Tick(now)
		r.Ready()

		meta, held := r.Entry("room", dot)
		require.True(t, held)
		require.Equal(t, `{"mine":true}`, string(meta.Data))
		atMost(t, replicas, len(r.peers), "members")
		atMost(t, 3, len(r.tombstones), "tombstones")
		atMost(t, maxTopics, len(r.topics), "topics")
		for _, topic := range r.topics {
			atMost(t, replicas, len(topic.views), "views")
			for _, v := range topic.views {
				atMost(t, reorderLimit, len(v.rarely().reorder), "reorder buffer")
			}
		}
	}
	for r.topics["other"] != nil && r.topics["other"].users > 0 {
		r.Release(now, "other", true)
	}
	for range 60 { // beyond permdown and the linger, with our own heartbeats coming back
		now = now.Add(time.Second)
		r.Tick(now)
		r.receive(message{kind: kindHeartbeat, name: "us", epoch: r.epoch, beat: r.beat})
		r.Ready()
	}
	left := list(r, "room")
	require.Len(t, left, 1)
	require.Equal(t, "me", left[0].key)
	topics, _ := r.Topics()
	require.Equal(t, []string{"room"}, topics)
	require.Empty(t, r.peers)
	require.Len(t, r.topics, 1)
	require.Empty(t, r.questions)
}

// atMost is require.LessOrEqual without its reflection, for checks that are made a
// million times.
func atMost(t *testing.T, limit, n int, what string) {
	if n > limit {
		require.FailNow(t, "over the limit", "%d %s, at most %d", n, what, limit)
	}
}

// hostile is a message that decode lets through, with nothing true in it, by
// somebody who overhears what r says: most of it is about what is going on.
func hostile(d *decisions, r *Replica) message {
	kinds := []kind{
		kindDelta, kindTip, kindHeartbeat, kindSync, kindReply, kindAlive, kindNack, kindLeave, kindProbe, kindSyncAll, kindPage,
		kindDelta, kindReply, kindPage, kindHeartbeat, kindTip,
	}
	m := message{
		kind: kinds[d.next()%uint64(len(kinds))], name: []string{"eu", "ap", "us", "sa"}[d.next()%4],
		epoch: max(d.number(), 1), beat: d.number(), max: d.number(), silent: d.number() * 1000,
	}
	known := r.peers[m.name]
	lies := d.next()%16 == 0
	if !lies && known != nil {
		m.epoch, m.beat = known.epoch, known.beat+1
	} else if ts := r.tombstones[m.name]; !lies && ts != nil {
		m.epoch = ts.max + 1
	} else if m.name == "us" {
		m.epoch = r.epoch + d.next()%3
	}
	if lies = lies || d.next()%8 == 0; !lies && m.kind == kindLeave {
		m.kind = kindAlive
	}
	nonce := func() uint64 {
		n := d.number()
		if !lies {
			n = r.nonce - n
		}
		return n
	}
	switch m.kind {
	case kindHeartbeat:
		m.fingerprint, m.oldest, m.newest = d.number(), d.number(), d.number()
	case kindSyncAll, kindPage:
		m.page = page{nonce: nonce(), since: d.number(), at: d.number(), of: 1 + d.next()%3}
		m.page.index = d.next() % m.page.of
		m.page.first = uint8(d.next() % sliceCount)
		m.page.end = m.page.first + 1 + uint8(d.next()%uint64(sliceCount-m.page.first))
		if known != nil && known.full != nil && known.full.nonce != 0 && !lies {
			m.page.nonce, m.page.first, m.page.end = known.full.nonce, known.full.next, known.full.end
		}
	}
	switch m.kind {
	case kindDelta, kindTip, kindSync, kindReply, kindPage:
		part := topicPart{
			topic: []string{"room", "room", "room", "other", "a", "b", "c", "d"}[d.next()%8], nonce: nonce(), seq: d.number(), at: d.number(),
			count: d.number(), hash: d.number(), chunks: 1 + d.next()%3,
		}
		part.chunk = d.next() % part.chunks
		for n := d.next() % 3; n > 0; n-- {
			part.others = append(part.others, d.number())
		}
		part.delta = hostileDelta(d)
		if t := r.topics[part.topic]; t != nil && known != nil && known.views[t] != nil && !lies {
			v := known.views[t]
			if part.nonce = v.nonce; !v.synced {
				part.delta.From, part.delta.Base = 0, 0
			} else if v.recon != 0 {
				part.nonce = v.recon
			}
		}
		m.parts = []topicPart{part}
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
	r, _ := newTestReplica("us")
	for seed := range byte(200) {
		d := &decisions{rest: []byte{4, seed, seed / 3, seed, 5, 6, seed, 8, 9, 10, 11, seed, 2, 3, seed, 1, 1, 2}}
		m := hostile(d, r)
		b := appendHeader(nil, kindReply, m.name, m.epoch, m.epoch)
		setVersion(b, jointVersion)
		b = binary.AppendUvarint(b, uint64(len(m.parts)))
		for _, part := range m.parts {
			b = appendPart(b, part, jointVersion)
		}
		_, err := decode(b, NewestVersion)
		require.NoError(t, err)
	}
}
