package replica

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

// encodeEpoch is an epoch's text in an address.
func encodeEpoch(epoch uint64) string {
	var raw [8]byte
	binary.BigEndian.PutUint64(raw[:], epoch)
	return base64.RawURLEncoding.EncodeToString(raw[:])
}
