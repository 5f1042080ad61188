package natsbus

import (
	"encoding/binary"
	"hash/fnv"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/rollcall-go/rollcall/bus"
)

// bucketOverhead is the most bytes that a message in a bucket has beside the
// lane and its data: its destination, and how long that is.
const bucketOverhead = binary.MaxVarintLen16 + bus.MaxDest

// overhead returns how many bytes of a payload are the bus's own.
func (c Config) overhead() int {
	if c.Buckets > 0 {
		return 1 + bucketOverhead
	}
	return 1
}

// A bucket is the subject of many destinations. What is published in it begins
// with the lane and the destination, so that what no Conn here is subscribed to
// costs one look into a map.
type bucket struct {
	name  string             // the NATS subject
	sub   *nats.Subscription // guarded by Bus.change
	users int                // subjects in it; guarded by Bus.change
}

// bucketed reports whether dest has no subject of its own. Only topics have none: there
// are many of them, and few other destinations.
func (b *Bus) bucketed(dest string) bool {
	return b.cfg.Buckets > 0 && strings.HasPrefix(dest, bus.ClassTopic+":")
}

// useBucket returns the bucket on a NATS subject, for one more destination. The
// caller holds change.
func (b *Bus) useBucket(subj string) (*bucket, error) {
	k := b.buckets[subj]
	if k == nil {
		sub, err := b.nc.ChanSubscribe(subj, b.messages)
		if err != nil {
			return nil, err
		}
		k = &bucket{name: subj, sub: sub}
		b.mu.Lock()
		b.buckets[subj] = k
		b.mu.Unlock()
	}
	k.users++
	return k, nil
}

// leaveBucket undoes useBucket. The caller holds change.
func (b *Bus) leaveBucket(k *bucket) {
	if k.users--; k.users > 0 {
		return
	}
	b.mu.Lock()
	delete(b.buckets, k.name)
	b.mu.Unlock()
	b.end(k.sub)
}

// appendBucket appends the subject of the bucket that dest is in. It is part of
// what all buses of a cluster must do alike: FNV-1a, 64 bits.
func (b *Bus) appendBucket(buf []byte, dest string) []byte {
	h := fnv.New64a()
	_, _ = h.Write([]byte(dest))
	return strconv.AppendUint(append(buf, b.bucketPrefix...), h.Sum64()%uint64(b.cfg.Buckets), 10)
}

// key returns what the subject of dest is found by in Bus.subjects, and the NATS
// subject that it is on. They are the same except in a bucket: a destination there has
// a colon where a NATS subject has none, in the length of the bus's prefix.
func (b *Bus) key(dest string) (key, subject string) {
	if b.bucketed(dest) {
		return dest, string(b.appendBucket(nil, dest))
	}
	subject = string(b.appendSubject(nil, dest))
	return subject, subject
}

// appendBucketed appends a message in a bucket.
func appendBucketed(buf []byte, lane bus.Lane, dest string, data []byte) []byte {
	buf = append(buf, byte(lane))
	buf = binary.AppendUvarint(buf, uint64(len(dest)))
	buf = append(buf, dest...)
	return append(buf, data...)
}

// splitBucketed takes a message in a bucket apart.
func splitBucketed(msg []byte) (dest, data []byte, ok bool) {
	n, size := binary.Uvarint(msg[1:])
	if size <= 0 || n > uint64(len(msg)-1-size) {
		return nil, nil, false
	}
	rest := msg[1+size:]
	return rest[:n], rest[n:len(rest):len(rest)], true
}
