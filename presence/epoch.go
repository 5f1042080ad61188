package presence

import (
	"encoding/base64"
	"encoding/binary"
	"time"
)

// epochRandomBits is how many low bits of an epoch are random.
const epochRandomBits = 22

// newEpoch makes the epoch of a replica that starts at the wall-clock time
// wall: Unix milliseconds above 22 random bits, so that a later start has the
// higher epoch and two starts never share one. It is above floor, with fresh
// random bits even then: floor + 1 would be reused by whoever else is told of
// the same floor.
func newEpoch(wall time.Time, random, floor uint64) uint64 {
	ms := uint64(max(wall.UnixMilli(), 1))
	ms = max(ms, floor>>epochRandomBits+1)
	return ms<<epochRandomBits | random&(1<<epochRandomBits-1)
}

// makeRef is the phx_ref of the entry that the process born with the epoch
// birth named n: unique in the cluster, at most 20 characters. It keeps when
// the replica goes on under a fresh epoch, and it names no replica.
func makeRef(birth, n uint64) string {
	var raw [8]byte
	buf := make([]byte, 0, 20)
	binary.BigEndian.PutUint64(raw[:], birth)
	buf = base64.RawURLEncoding.AppendEncode(buf, raw[:])
	binary.BigEndian.PutUint64(raw[:], n)
	skip := 0
	for skip < 7 && raw[skip] == 0 {
		skip++
	}
	return string(base64.RawURLEncoding.AppendEncode(buf, raw[skip:]))
}

// encodeEpoch is an epoch's text in an address.
func encodeEpoch(epoch uint64) string {
	var raw [8]byte
	binary.BigEndian.PutUint64(raw[:], epoch)
	return base64.RawURLEncoding.EncodeToString(raw[:])
}
