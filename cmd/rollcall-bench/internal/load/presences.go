package load

import (
	"errors"
	"fmt"
	"hash/maphash"
	"sync"
)

// A present is a user in a presence payload.
type present struct {
	user int
	n    int64 // the largest of its metas, 0 if there is none
}

// change is a presence_diff, or a presence_state as joins.
type change struct{ joins, leaves []present }

// of returns the part of c about joins with number n.
func (c *change) of(n int64) *change {
	pick := func(all []present) (some []present) {
		for _, p := range all {
			if p.n == n {
				some = append(some, p)
			}
		}
		return some
	}
	return &change{pick(c.joins), pick(c.leaves)}
}

func userKey(user int) string { return fmt.Sprintf("u%06d", user) }

// userOf parses a key made by userKey. ok is false for other keys.
func userOf(key []byte) (user int, ok bool) {
	if len(key) < 2 || key[0] != 'u' {
		return 0, false
	}
	n, rest := cutNumber(key[1:])
	return int(n), len(rest) == 0
}

var errPresences = errors.New("not a presence payload")

// parseDiff parses the payload of presence_diff. Fields other than joins and leaves
// are skipped.
func parseDiff(data []byte) (*change, error) {
	c := &change{}
	s := scanner{data: data}
	err := s.object(func(name []byte) (err error) {
		switch string(name) {
		case "joins":
			c.joins, err = s.presents()
		case "leaves":
			c.leaves, err = s.presents()
		default:
			err = s.skip()
		}
		return err
	})
	return c, s.finish(err)
}

// parseState parses the payload of presence_state.
func parseState(data []byte) (*change, error) {
	c := &change{}
	s := scanner{data: data}
	var err error
	c.joins, err = s.presents()
	return c, s.finish(err)
}

// presents reads {"key": {"metas": [{"n": 1, ...}, ...]}, ...}.
func (s *scanner) presents() (all []present, err error) {
	err = s.object(func(key []byte) error {
		p, ok := present{}, false
		p.user, ok = userOf(key)
		err := s.object(func(name []byte) error {
			if string(name) != "metas" {
				return s.skip()
			}
			return s.array(func() error {
				return s.object(func(name []byte) error {
					if string(name) == "n" {
						start := s.at
						n, rest := cutNumber(s.data[s.at:])
						if s.at = len(s.data) - len(rest); s.at > start {
							p.n = max(p.n, n)
							return nil
						}
					}
					return s.skip()
				})
			})
		})
		if ok && err == nil {
			all = append(all, p)
		}
		return err
	})
	return all, err
}

// sharedParser parses a payload once for all clients that receive it. It may be used
// concurrently.
type sharedParser struct {
	seed maphash.Seed

	mu    sync.Mutex
	known [2]map[parsedKey]*parsed // the second is the older half
}

type parsedKey struct {
	state bool
	hash  uint64
	size  int
}

type parsed struct {
	once   sync.Once
	change *change
	err    error
}

// maxKnown limits each half of the cache.
const maxKnown = 1024

func newSharedParser() *sharedParser {
	return &sharedParser{seed: maphash.MakeSeed(), known: [2]map[parsedKey]*parsed{{}, {}}}
}

// parse calls parseState or parseDiff, or returns their cached result, which must not
// be changed.
func (p *sharedParser) parse(state bool, payload []byte) (*change, error) {
	r := p.lookup(parsedKey{state, maphash.Bytes(p.seed, payload), len(payload)})
	r.once.Do(func() {
		if state {
			r.change, r.err = parseState(payload)
		} else {
			r.change, r.err = parseDiff(payload)
		}
	})
	return r.change, r.err
}

func (p *sharedParser) lookup(key parsedKey) *parsed {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r := p.known[0][key]; r != nil {
		return r
	}
	r := p.known[1][key]
	if r == nil {
		r = &parsed{}
	}
	if len(p.known[0]) >= maxKnown {
		p.known[0], p.known[1] = map[parsedKey]*parsed{}, p.known[0]
	}
	p.known[0][key] = r
	return r
}
