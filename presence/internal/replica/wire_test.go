package replica

import (
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// frames are one message of each kind, as a replica sends them.
func frames() [][]byte {
	h := func(k kind) []byte { return appendHeader(nil, k, "eu-1", 5<<epochRandomBits, 3<<epochRandomBits) }
	d := delta{From: 3, Base: 3, To: 300,
		Adds: []entry{
			{Dot: 7, Origin: 7, Key: "alice", Value: value{meta: []byte(`{}`)}},
			{Dot: 290, Origin: 5, Key: "bob", Value: value{prev: 8, meta: []byte(`{"v":1}`)}},
		},
		Rems: []uint64{1, 2}, Keep: []uint64{3},
	}
	beat := binary.AppendUvarint(binary.AppendUvarint(h(kindHeartbeat), 9), 1)
	beat = append(beat, 1, 2)
	tip := appendText(h(kindTip), "room")
	for _, n := range []uint64{300, 310, 2} {
		tip = binary.AppendUvarint(tip, n)
	}
	tip = binary.BigEndian.AppendUint64(tip, 99)
	sync := appendText(binary.AppendUvarint(h(kindSync), 1), "room")
	sync = binary.AppendUvarint(binary.AppendUvarint(sync, 12), 77)
	reply := appendPart(binary.AppendUvarint(h(kindReply), 1), topicPart{topic: "room", nonce: 77, hash: 99, chunks: 1, delta: d}, 1)
	nack := binary.AppendUvarint(binary.AppendUvarint(h(kindNack), 6<<epochRandomBits), 1500)
	return [][]byte{
		appendDelta(appendText(h(kindDelta), "room"), d), tip, beat, sync, reply,
		h(kindProbe), h(kindAlive), nack, h(kindLeave),
		appendFullSync(h(kindSyncAll), page{nonce: 77, since: 12, first: 3, end: sliceCount}),
		appendPart(binary.AppendUvarint(appendPage(h(kindPage), page{nonce: 77, first: 3, end: 9, at: 300, index: 1, of: 2}), 1),
			topicPart{topic: "room", hash: 99, chunks: 1, delta: d}, OldestVersion),
	}
}

func TestMessagesSurviveTheWire(t *testing.T) {
	list := frames()
	for i, data := range list {
		msg, err := decode(data, NewestVersion)
		require.NoError(t, err, "%v", kind(data[3]))
		require.Equal(t, kind(i+1), msg.kind)
		require.Equal(t, "eu-1", msg.name)
		require.Equal(t, uint64(5<<epochRandomBits), msg.epoch)
		require.Equal(t, uint64(3<<epochRandomBits), msg.birth)
	}
	msg, err := decode(list[4], NewestVersion)
	require.NoError(t, err)
	require.Equal(t, uint64(77), msg.parts[0].nonce)
	d := msg.parts[0].delta
	require.Equal(t, uint64(300), d.To)
	require.Equal(t, entry{Dot: 290, Origin: 5, Key: "bob", Value: value{prev: 8, meta: []byte(`{"v":1}`)}}, d.Adds[1])
	require.Equal(t, []uint64{1, 2}, d.Rems)
	require.Equal(t, []uint64{3}, d.Keep)
	msg, err = decode(list[9], NewestVersion)
	require.NoError(t, err)
	require.Equal(t, page{nonce: 77, since: 12, first: 3, end: sliceCount}, msg.page)
	msg, err = decode(list[10], NewestVersion)
	require.NoError(t, err)
	require.Equal(t, page{nonce: 77, first: 3, end: 9, at: 300, index: 1, of: 2}, msg.page)
	require.Equal(t, "room", msg.parts[0].topic)
	require.Equal(t, d, msg.parts[0].delta)
}

func TestPagesOfImpossibleSlicesAndMessagesAreRefused(t *testing.T) {
	for what, pg := range map[string]page{
		"no slice":         {nonce: 1, first: 5, end: 5, of: 1},
		"backwards":        {nonce: 1, first: 6, end: 5, of: 1},
		"beyond the last":  {nonce: 1, first: 5, end: sliceCount + 1, of: 1},
		"no message":       {nonce: 1, first: 5, end: 6},
		"beyond the count": {nonce: 1, first: 5, end: 6, index: 2, of: 2},
		"too many":         {nonce: 1, first: 5, end: 6, of: maxChunks + 1},
	} {
		_, err := decode(append(appendPage(appendHeader(nil, kindPage, "eu", 5, 5), pg), 0), NewestVersion)
		require.Error(t, err, what)
	}
}

func TestALaterVersionMayAppendButNotChange(t *testing.T) {
	for _, data := range frames() {
		later := append(append([]byte(nil), data...), "something new"...)
		later[1] = NewestVersion + 1
		want, _ := decode(data, NewestVersion)
		got, err := decode(later, NewestVersion)
		require.NoError(t, err)
		require.Equal(t, want, got)
		later[2] = NewestVersion + 1
		_, err = decode(later, NewestVersion)
		require.ErrorContains(t, err, "needs version 3 of the wire format")
	}
}

func TestEveryTruncationIsRefused(t *testing.T) {
	for _, data := range frames() {
		for n := range data {
			if kind(data[3]) == kindHeartbeat && n == len(data)-2 {
				continue // without versions it is one of version 1
			}
			_, err := decode(data[:n], NewestVersion)
			require.Error(t, err, "%d bytes of a %v", n, kind(data[3]))
		}
	}
}

// jointReply answers three questions at once.
func jointReply() []byte {
	b := appendHeader(nil, kindReply, "eu-1", 5<<epochRandomBits, 3<<epochRandomBits)
	setVersion(b, jointVersion)
	part := topicPart{topic: "room", nonce: 77, others: []uint64{78, 1 << 60}, hash: 99, chunks: 1, delta: delta{To: 3}}
	return appendPart(binary.AppendUvarint(b, 1), part, jointVersion)
}

func TestAJointReplySurvivesTheWireOfVersion2Only(t *testing.T) {
	data := jointReply()
	msg, err := decode(data, NewestVersion)
	require.NoError(t, err)
	for nonce, answered := range map[uint64]bool{77: true, 78: true, 1 << 60: true, 79: false, 0: false} {
		require.Equal(t, answered, msg.parts[0].answers(nonce), nonce)
	}
	_, err = decode(data, OldestVersion)
	require.ErrorContains(t, err, "needs version 2 of the wire format, this replica reads up to 1: upgrade it")
	for n := range data {
		_, err := decode(data[:n], NewestVersion)
		require.Error(t, err)
	}
}

// largeDelta is compressed.
func largeDelta() []byte {
	d := delta{To: 300}
	for n := uint64(1); n <= 200; n++ {
		d.Adds = append(d.Adds, entry{Dot: n, Origin: n, Key: fmt.Sprint("user ", n), Value: value{meta: []byte(`{"v":1}`)}})
	}
	return pack(appendDelta(appendText(appendHeader(nil, kindDelta, "eu-1", 5, 5), "room"), d))
}

// Whatever decodes, encodes to something that decodes to the same, and never
// holds more than the input can justify.
func FuzzDecode(f *testing.F) {
	for _, data := range append(frames(), jointReply(), largeDelta()) {
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		msg, err := decode(data, NewestVersion)
		if err != nil {
			return
		}
		plain, err := unpack(data)
		require.NoError(t, err)
		require.LessOrEqual(t, len(plain), max(len(data), MaxPlain))
		for _, part := range msg.parts {
			if n := leastEntry*len(part.delta.Adds) + len(part.delta.Rems) + len(part.delta.Keep); n > len(plain) {
				t.Fatalf("%d items out of %d bytes", n, len(plain))
			}
			for i, e := range part.delta.Adds {
				if e.Origin > e.Dot || i > 0 && e.Dot <= part.delta.Adds[i-1].Dot {
					t.Fatalf("entry %+v", e)
				}
			}
		}
		require.LessOrEqual(t, msg.page.end, uint8(sliceCount))
		require.LessOrEqual(t, msg.page.of, uint64(maxChunks))
		if msg.kind == kindPage {
			b := appendPage(appendHeader(nil, kindPage, msg.name, msg.epoch, msg.birth), msg.page)
			setVersion(b, max(data[2], 1))
			b = binary.AppendUvarint(b, uint64(len(msg.parts)))
			for _, part := range msg.parts {
				b = appendPart(b, part, data[2])
			}
			again, err := decode(b, NewestVersion)
			require.NoError(t, err)
			require.Equal(t, msg, again)
		}
		if msg.kind == kindReply && len(msg.parts) == 1 {
			b := appendHeader(nil, kindReply, msg.name, msg.epoch, msg.birth)
			setVersion(b, max(data[2], 1))
			b = appendPart(binary.AppendUvarint(b, 1), msg.parts[0], data[2])
			again, err := decode(b, NewestVersion)
			require.NoError(t, err)
			require.Equal(t, msg, again)
		}
	})
}

// A replica that is fed anything at all does not panic, and keeps its own
// entries.
func FuzzReceive(f *testing.F) {
	for _, data := range frames() {
		f.Add(data, data)
	}
	f.Fuzz(func(t *testing.T, first, second []byte) {
		r, now := newTestReplica("us-1")
		_ = r.Acquire(now, "room", true)
		dot, err := r.Track(now, "room", "me", []byte(`{}`))
		require.NoError(t, err)
		r.Ready()
		beat := binary.AppendUvarint(binary.AppendUvarint(
			appendHeader(nil, kindHeartbeat, "eu-1", 5<<epochRandomBits, 3<<epochRandomBits), 1), 1)
		for _, data := range [][]byte{beat, first, second, first} {
			r.Receive(now, take(data))
			r.Ready()
		}
		_, held := r.Entry("room", dot)
		require.True(t, held)
	})
}
