package replica

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/s2"
	"github.com/stretchr/testify/require"
)

func beatOf(name string, epoch, beat uint64) message {
	return message{kind: kindHeartbeat, name: name, epoch: epoch, birth: epoch, beat: beat, fingerprint: 1, oldest: OldestVersion, newest: NewestVersion}
}

func whats(r *Replica) (list []string) {
	for _, n := range r.Ready().Notices {
		list = append(list, n.Replica+" "+n.What)
	}
	return list
}

func TestReplicasBeyondTheLimitAreIgnoredAndReportedOnce(t *testing.T) {
	r, _ := newTestReplica("us", func(c *Config) { c.MaxReplicas = 2 })
	for beat := range uint64(3) {
		for _, name := range []string{"a", "b", "c"} {
			r.receive(beatOf(name, 5, beat+1))
		}
	}
	require.Equal(t, []string{"a up", "b up", "c ignored: 2 other replicas are known, the limit: see Config.MaxReplicas"}, whats(r))
	require.Equal(t, uint64(3), r.Status().Stats.Ignored)
	require.Len(t, r.Peers(), 2)
	r.receive(message{kind: kindLeave, name: "a", epoch: 5})
	r.receive(beatOf("c", 5, 4))
	require.Equal(t, []string{"a left", "c up"}, whats(r), "there is room again")
}

// Questions wait for the pace of answers, but not without end.
func TestQuestionsBeyondTheLimitAreNotHeard(t *testing.T) {
	r, _ := newTestReplica("us")
	parts := make([]topicPart, 1<<12)
	for i := range parts {
		parts[i] = topicPart{topic: fmt.Sprint("room ", i), nonce: 1}
	}
	for range maxQuestions/len(parts) + 1 {
		r.receive(message{kind: kindSync, name: "eu", epoch: 5, parts: parts})
	}
	require.LessOrEqual(t, len(r.questions), maxQuestions)
	before := r.Status().Stats.Unheard
	require.NotZero(t, before)
	r.receive(message{kind: kindSyncAll, name: "eu", epoch: 5, page: page{nonce: 1, end: sliceCount, of: 1}})
	require.Equal(t, before+1, r.Status().Stats.Unheard)
}

func TestAMessageOfALaterVersionIsCountedAndReportedNowAndThen(t *testing.T) {
	r, now := newTestReplica("us")
	later := appendHeader(nil, kindHeartbeat, "eu", 5, 5)
	setVersion(later, NewestVersion+1)
	later[2] = NewestVersion + 1
	for range 3 {
		r.Receive(now, take(later))
	}
	require.Equal(t, uint64(3), r.Status().Stats.Outdated)
	require.Zero(t, r.Status().Stats.Malformed)
	notices := whats(r)
	require.Len(t, notices, 1)
	require.Contains(t, notices[0], "us outdated: a message needs version 3 of the wire format, this replica reads up to 2: upgrade it")
}

// What fills a delta does not wait for the end of FlushInterval.
func TestADeltaOf64KiBDoesNotWait(t *testing.T) {
	for _, size := range []struct{ meta, atOnce int }{
		{100, 1},  // the first change, of a quiet topic
		{8000, 2}, // and the other nine, which are 72 KiB
	} {
		r, now := newTestReplica("us", func(c *Config) { c.FlushInterval = time.Second })
		require.NoError(t, r.Acquire(now, "room", false))
		meta := []byte(`{"x":"` + strings.Repeat("x", size.meta) + `"}`)
		for i := range 10 {
			_, err := r.Track(now, "room", fmt.Sprint("user ", i), meta)
			require.NoError(t, err)
			r.Tick(now)
			r.Ready()
		}
		require.Equal(t, uint64(size.atOnce), r.Status().Stats.Flushed)
		r.Tick(now.Add(time.Second))
		require.Equal(t, uint64(2), r.Status().Stats.Flushed)
	}
}

func TestLargeMessagesAreCompressedAndNoneBecomesLargerThanTheLimit(t *testing.T) {
	small := append(appendHeader(nil, kindDelta, "eu", 5, 5), make([]byte, 500)...)
	require.Equal(t, small, pack(small), "not worth it")
	large := append(appendHeader(nil, kindDelta, "eu", 5, 5), bytes.Repeat([]byte(`{"color":"red"}`), 1000)...)
	packed := pack(bytes.Clone(large))
	require.Less(t, len(packed), len(large)/10)
	rest, err := unpack(packed)
	require.NoError(t, err)
	require.Equal(t, large[wirePrefix:], rest)

	// Anything may be claimed; what is believed makes us allocate.
	const believed = 2 * MaxPlain
	within := func(most uint64, data []byte) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := decode(data, NewestVersion)
		runtime.ReadMemStats(&after)
		require.ErrorIs(t, err, errMalformed)
		require.Less(t, after.TotalAlloc-before.TotalAlloc, most)
	}
	for claim, most := range map[uint64]uint64{MaxPlain: believed, MaxPlain + 1: 1 << 16, 8 << 20: 1 << 16, 1 << 40: 1 << 16} {
		within(most, binary.AppendUvarint([]byte{wireMagic, OldestVersion, OldestVersion, byte(kindDelta), flagS2}, claim))
	}
	many := appendText(appendHeader(nil, kindDelta, "eu", 5, 5), "room")
	many = binary.AppendUvarint(append(many, 0, 0, 9), MaxPlain/10) // entries, of which there is none
	within(believed, pack(append(many, make([]byte, MaxPlain-100)...)))
	bomb := s2.Encode(nil, make([]byte, MaxPlain+1))
	require.Less(t, len(bomb), 1000)
	_, err = decode(append([]byte{wireMagic, OldestVersion, OldestVersion, byte(kindDelta), flagS2}, bomb...), NewestVersion)
	require.ErrorIs(t, err, errMalformed)
}

// The largest meta under the longest names fits the messages that it goes in,
// however much changes at once.
func TestTheLargestMetaFitsAMessage(t *testing.T) {
	for _, pause := range []time.Duration{time.Second, 0} {
		const maxMeta = 8 << 10
		name, topic, key := strings.Repeat("n", MaxName), strings.Repeat("t", MaxName), strings.Repeat("k", MaxName)
		const payload = maxMeta + Overhead // the least that package presence lets be
		r, now := makeTestReplica(name, func(c *Config) { c.MaxPayload = func() int { return payload } })
		require.NoError(t, r.Acquire(now, topic, false))
		r.receive(beatOf("eu", 5, 1))
		random := rand.New(rand.NewPCG(1, 2))
		for range 3 {
			_, err := r.Track(now, topic, key, noise(random, maxMeta))
			require.NoError(t, err)
			now = now.Add(pause)
			r.Tick(now)
		}
		r.receive(message{kind: kindSync, name: "eu", epoch: 5, parts: []topicPart{{topic: topic, nonce: 1 << 60}}})
		r.receive(message{kind: kindSyncAll, name: "eu", epoch: 5, page: page{nonce: 1 << 60, end: sliceCount, of: 1}})
		r.Tick(now.Add(time.Second))
		sent := map[kind]int{}
		for _, op := range r.Ready().Ops {
			if op.Kind == OpPublish && len(op.Data) > maxMeta {
				sent[kind(op.Data[3])]++
				require.LessOrEqual(t, len(op.Data), payload, "%v", kind(op.Data[3]))
			}
		}
		require.Equal(t, 3, sent[kindDelta])
		require.Equal(t, 3, sent[kindReply])
		require.Equal(t, 3, sent[kindPage])
	}
}

// noise does not get smaller.
func noise(random *rand.Rand, n int) []byte {
	b := make([]byte, 0, n+7)
	for len(b) < n {
		b = binary.LittleEndian.AppendUint64(b, random.Uint64())
	}
	return b[:n]
}

// Whatever changes at once, no message is larger than the bus takes, nor than
// receivers decompress; and what one who follows has is what there is, without a
// question.
func TestDeltasFitTheirMessages(t *testing.T) {
	for seed := range uint64(30) {
		random := rand.New(rand.NewPCG(seed, 3))
		payload := []int{3000, 20_000, 3 << 20}[seed%3]
		largest := min(payload, MaxPlain) - Overhead
		r, now := makeTestReplica("eu", func(c *Config) {
			c.MaxPayload, c.MaxTopicPresences = func() int { return payload }, 1<<20
		})
		us, _ := newTestReplica("us")
		require.NoError(t, r.Acquire(now, "room", false))
		require.NoError(t, us.Acquire(now, "room", false))
		us.receive(message{kind: kindHeartbeat, name: "eu", epoch: r.epoch, birth: r.birth, beat: 1, fingerprint: 1, oldest: 1, newest: NewestVersion})
		us.receive(message{kind: kindReply, name: "eu", epoch: r.epoch, parts: []topicPart{{topic: "room", nonce: us.topics["room"].views[0].nonce, chunks: 1}}})
		var dots []uint64
		for _, adds := range []int{9, 3, 0} { // of ten changes
			for n := random.IntN(3000); n > 0; n-- {
				meta := []byte(`{}`)
				if random.IntN(1000) == 0 {
					meta = append(append([]byte{'{'}, noise(random, random.IntN(largest-2))...), '}')
				}
				switch at := random.IntN(len(dots) + 1); {
				case at == len(dots) || random.IntN(10) < adds:
					dot, err := r.Track(now, "room", fmt.Sprint("user ", n), meta)
					require.NoError(t, err)
					dots = append(dots, dot)
				case random.IntN(2) == 0:
					dots[at], _ = r.Update(now, "room", dots[at], meta)
				default:
					require.True(t, r.Untrack(now, "room", dots[at]))
					dots = append(dots[:at], dots[at+1:]...)
				}
			}
			now = now.Add(time.Second / 2)
			r.Tick(now)
			for _, op := range r.Ready().Ops {
				if op.Kind != OpPublish || kind(op.Data[3]) != kindDelta {
					continue
				}
				require.LessOrEqual(t, len(op.Data), payload)
				us.Receive(now, take(op.Data))
			}
		}
		require.Equal(t, r.topics["room"].own.hash, us.topics["room"].views[0].hash)
		require.Equal(t, len(dots), us.byName[0].entries)
		require.Zero(t, us.Status().Stats.Gaps)
		require.Zero(t, us.Status().Stats.Malformed)
	}
}
