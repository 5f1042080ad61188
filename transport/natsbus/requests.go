package natsbus

import (
	"strconv"
	"sync"

	"github.com/rollcall-go/rollcall/bus"
)

// maxRequests is how many requests are remembered: the oldest is forgotten.
const maxRequests = 4096

// requests remembers what was asked under which token, so that an answer of the
// server, which comes within milliseconds or never, finds its destination.
type requests struct {
	mu sync.Mutex
	// guarded by mu
	last uint64    // the token given out last; they begin with 1
	ring []request // by token modulo maxRequests; grows to that length
}

type request struct {
	token uint64 // 0: none
	lane  bus.Lane
	dest  string
}

// add remembers a request and appends its token to b.
func (r *requests) add(b []byte, lane bus.Lane, dest string) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last++
	q := request{token: r.last, lane: lane, dest: dest}
	if i := int(r.last % maxRequests); i < len(r.ring) {
		r.ring[i] = q
	} else {
		for len(r.ring) < i {
			r.ring = append(r.ring, request{})
		}
		r.ring = append(r.ring, q)
	}
	return strconv.AppendUint(b, r.last, 36)
}

// take returns what was asked under a token, and forgets it.
func (r *requests) take(text string) (lane bus.Lane, dest string, ok bool) {
	token, err := strconv.ParseUint(text, 36, 64)
	if err != nil || token == 0 {
		return 0, "", false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	i := int(token % maxRequests)
	if i >= len(r.ring) || r.ring[i].token != token {
		return 0, "", false
	}
	q := r.ring[i]
	r.ring[i] = request{}
	return q.lane, q.dest, true
}
