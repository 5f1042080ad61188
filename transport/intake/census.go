package intake

import (
	"net/netip"
	"sync"
)

// A census counts what each address has.
type census struct {
	most int // static; zero: no bound, and nothing is counted

	mu sync.Mutex
	// Guarded by mu.
	places map[netip.Addr]*Place // those that have something
}

// A Place is that of an address in a census: all its connections have the same
// one. A nil Place counts nothing.
type Place struct {
	census *census // static, as the key
	key    netip.Addr
	n      int // guarded by census.mu
}

// enter counts one more of an address. An address that is unknown is not counted.
func (c *census) enter(a netip.Addr) (*Place, error) {
	if c.most == 0 || !a.IsValid() {
		return nil, nil
	}
	key := keyOf(a)
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.places[key]
	switch {
	case p == nil:
		p = &Place{census: c, key: key}
		if c.places == nil {
			c.places = map[netip.Addr]*Place{}
		}
		c.places[key] = p
	case p.n >= c.most:
		return nil, &Refusal{Err: ErrAddress, Limit: c.most}
	}
	p.n++
	return p, nil
}

// Leave counts one less. It is called once for each time that the place was got.
func (p *Place) Leave() {
	if p == nil {
		return
	}
	c := p.census
	c.mu.Lock()
	defer c.mu.Unlock()
	if p.n--; p.n == 0 {
		delete(c.places, p.key)
	}
}
