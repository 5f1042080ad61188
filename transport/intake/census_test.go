package intake

import (
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

func from(address string, header ...string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.RemoteAddr = address
	for _, line := range header {
		r.Header.Add("X-Forwarded-For", line)
	}
	return r
}

func TestAnAddressHasSoManyConnectionsAndNoMore(t *testing.T) {
	in, err := New(Config{MaxPerAddress: 2})
	require.NoError(t, err)
	count := func(address string) (*Place, error) { return in.Count(from(address)) }
	a, err := count("192.0.2.1:1")
	require.NoError(t, err)
	b, err := count("192.0.2.1:2")
	require.NoError(t, err)
	_, err = count("192.0.2.1:3")
	require.ErrorIs(t, err, ErrAddress)
	require.Equal(t, 429, err.(*Refusal).Status())
	require.EqualError(t, err, "intake: too many connections from this address (limit 2)")
	c, err := count("192.0.2.2:1")
	require.NoError(t, err, "another address")
	a.Leave()
	d, err := count("192.0.2.1:4")
	require.NoError(t, err)
	for _, place := range []*Place{b, c, d} {
		place.Leave()
	}
	require.Empty(t, in.clients.places, "nothing is kept of addresses that have gone")
}

// One client has a whole /64, and often gets an IPv4 address in the form of IPv6.
func TestWhatCountsAsOneAddress(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"192.0.2.1:1", "192.0.2.1:2", true},
		{"192.0.2.1:1", "192.0.2.2:1", false},
		{"192.0.2.1:1", "[::ffff:192.0.2.1]:1", true},
		{"[::ffff:192.0.2.1]:1", "[::ffff:192.0.2.2]:1", false},
		{"[2001:db8::1]:1", "[2001:db8::ffff:1:2:3]:9", true},
		{"[2001:db8::1]:1", "[2001:db8:0:1::1]:1", false},
		{"[fe80::1%eth0]:1", "[fe80::2%eth1]:1", true},
		{"[::1]:1", "127.0.0.1:1", false},
	} {
		in, err := New(Config{MaxPerAddress: 1})
		require.NoError(t, err)
		_, err = in.Count(from(c.a))
		require.NoError(t, err)
		_, err = in.Count(from(c.b))
		require.Equal(t, c.same, err != nil, "%s and %s", c.a, c.b)
	}
}

func TestWhatHasNoAddressIsNotCounted(t *testing.T) {
	for _, text := range []string{"", "@", "/run/socket", "host:1", "1.2.3:4"} {
		in, err := New(Config{MaxPerAddress: 1})
		require.NoError(t, err)
		for range 3 {
			place, err := in.Count(from(text))
			require.NoError(t, err, text)
			place.Leave()
		}
	}
}

func TestWithoutABoundNothingIsCounted(t *testing.T) {
	in, err := New(Config{Address: func(*http.Request) netip.Addr { panic("asked") }})
	require.NoError(t, err)
	for range 3 {
		place, err := in.Count(from("192.0.2.1:1"))
		require.NoError(t, err)
		require.Nil(t, place)
	}
}

// A header is looked at only where the operator says so, and then its last entry,
// which is the proxy's: what stands before it is the client's word.
func TestTheAddressBehindAProxy(t *testing.T) {
	behind := FromHeader("X-Forwarded-For")
	for _, c := range []struct {
		header []string
		want   string
	}{
		{nil, "10.0.0.1"},
		{[]string{""}, "10.0.0.1"},
		{[]string{"nonsense"}, "10.0.0.1"},
		{[]string{"192.0.2.1, unknown"}, "10.0.0.1"},
		{[]string{"192.0.2.1"}, "192.0.2.1"},
		{[]string{"1.1.1.1, 192.0.2.1"}, "192.0.2.1"},
		{[]string{"1.1.1.1", "2.2.2.2,192.0.2.1 "}, "192.0.2.1"},
		{[]string{"192.0.2.1:4711"}, "192.0.2.1"},
		{[]string{"2001:db8::1"}, "2001:db8::1"},
		{[]string{"[2001:db8::1]"}, "2001:db8::1"},
		{[]string{"[2001:db8::1]:80"}, "2001:db8::1"},
	} {
		r := from("10.0.0.1:99", c.header...)
		require.Equal(t, c.want, behind(r).String(), "%q", c.header)
		require.Equal(t, "10.0.0.1", remoteAddress(r).String())
	}
}

func FuzzParseAddress(f *testing.F) {
	for _, text := range []string{"", "192.0.2.1", "192.0.2.1:1", "[::1]:1", "[::1", "::ffff:1.2.3.4", "fe80::1%x", "[]"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if a := parseAddress(text); a.IsValid() {
			key := keyOf(a)
			require.True(t, key.IsValid())
			require.Equal(t, key, keyOf(key))
			require.Empty(t, key.Zone())
		}
	})
}

func TestAddressesAreCountedConcurrently(t *testing.T) {
	in, err := New(Config{MaxPerAddress: 3})
	require.NoError(t, err)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 1000 {
				if place, err := in.Count(from("192.0.2.1:1")); err == nil {
					place.Leave()
				}
			}
		})
	}
	all.Wait()
	require.Empty(t, in.clients.places)
}

// A pipeFrom is a connection of an address.
type pipeFrom struct {
	net.Conn
	address net.Addr
	closed  bool
}

func (c *pipeFrom) RemoteAddr() net.Addr { return c.address }
func (c *pipeFrom) Close() error         { c.closed = true; return nil }

func TestHTTPConnectionsAreBoundedTooByAddressAndInAll(t *testing.T) {
	type refused struct {
		of    net.Conn
		limit any
		err   error
	}
	var told []refused
	cfg := Config{MaxPerAddress: 2, MaxHTTP: 3, Refused: func(c net.Conn, r *Refusal) { told = append(told, refused{c, r.Limit, r.Err}) }}
	in, err := New(cfg)
	require.NoError(t, err)
	dial := func(ip string) *pipeFrom {
		c := &pipeFrom{address: &net.TCPAddr{IP: net.ParseIP(ip), Port: 1}}
		in.ConnState(c, http.StateNew)
		if c.closed {
			in.ConnState(c, http.StateClosed)
		}
		return c
	}
	a, b := dial("192.0.2.1"), dial("192.0.2.1")
	require.False(t, a.closed || b.closed)
	third := dial("192.0.2.1")
	require.True(t, third.closed)
	require.Equal(t, []refused{{third, 2, ErrAddress}}, told)
	other := dial("192.0.2.2")
	require.False(t, other.closed)
	require.True(t, dial("192.0.2.3").closed)
	require.Equal(t, 3, told[1].limit)
	require.Equal(t, ErrHTTP, told[1].err)

	in.ConnState(a, http.StateActive)
	in.ConnState(a, http.StateHijacked)
	again := dial("192.0.2.1")
	require.False(t, again.closed, "a WebSocket is counted elsewhere")
	for _, c := range []*pipeFrom{b, other, again} {
		in.ConnState(c, http.StateIdle)
		in.ConnState(c, http.StateClosed)
	}
	require.Empty(t, in.open.conns)
	require.Empty(t, in.open.census.places)

	// Behind a proxy all have its address, which nothing counts.
	cfg.Address = FromHeader("X-Forwarded-For")
	in, err = New(cfg)
	require.NoError(t, err)
	for range 3 {
		require.False(t, dial("192.0.2.1").closed)
	}
	require.True(t, dial("192.0.2.1").closed, "but for MaxHTTP")
}
