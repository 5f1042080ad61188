//go:build unix

package soak

import (
	"fmt"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// proxy leads TCP connections on, and can be cut: then connections end, and new
// ones are refused. Or it can be stalled, as a network that drops packets does:
// connections stay, nothing comes through, and afterwards all of it does, late.
type proxy struct {
	port   int
	target string

	accepting sync.WaitGroup
	running   sync.WaitGroup

	mu       sync.Mutex
	listener net.Listener // nil while it is cut
	conns    map[net.Conn]struct{}
	isCut    bool
	flowing  chan struct{} // closed unless stalled
}

func newProxy(t *testing.T, target int) *proxy {
	t.Helper()
	p := &proxy{port: freePort(t), target: fmt.Sprintf("127.0.0.1:%d", target), conns: map[net.Conn]struct{}{}, isCut: true, flowing: make(chan struct{})}
	close(p.flowing)
	p.mend(t)
	t.Cleanup(p.cut)
	return p
}

// stall lets nothing through from now on.
func (p *proxy) stall() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.flowing = make(chan struct{})
}

// resume ends stall.
func (p *proxy) resume() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.letFlow()
}

func (p *proxy) letFlow() {
	select {
	case <-p.flowing:
	default:
		close(p.flowing)
	}
}

// gate is a reader that waits while its proxy is stalled.
type gate struct {
	p *proxy
	r io.Reader
}

func (g gate) Read(b []byte) (int, error) {
	n, err := g.r.Read(b)
	g.p.mu.Lock()
	flowing := g.p.flowing
	g.p.mu.Unlock()
	<-flowing
	return n, err
}

// cut ends all connections and returns when they have ended.
func (p *proxy) cut() {
	p.mu.Lock()
	p.letFlow()
	p.isCut = true
	if p.listener != nil {
		_ = p.listener.Close()
		p.listener = nil
	}
	for c := range p.conns {
		_ = c.Close()
	}
	p.mu.Unlock()
	p.accepting.Wait()
	p.running.Wait()
}

// mend ends cut.
func (p *proxy) mend(t *testing.T) {
	t.Helper()
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", p.port))
	require.NoError(t, err)
	p.mu.Lock()
	p.listener, p.isCut = l, false
	p.mu.Unlock()
	p.accepting.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			p.running.Go(func() { p.lead(c) })
		}
	})
}

func (p *proxy) lead(from net.Conn) {
	defer from.Close()
	to, err := net.Dial("tcp", p.target)
	if err != nil {
		return
	}
	defer to.Close()
	p.mu.Lock()
	if p.isCut {
		p.mu.Unlock()
		return
	}
	p.conns[from], p.conns[to] = struct{}{}, struct{}{}
	p.mu.Unlock()
	var back sync.WaitGroup
	back.Go(func() {
		_, _ = io.Copy(from, gate{p, to})
		_ = from.Close()
	})
	_, _ = io.Copy(to, gate{p, from})
	_ = to.Close()
	back.Wait()
	p.mu.Lock()
	delete(p.conns, from)
	delete(p.conns, to)
	p.mu.Unlock()
}

// freePort is a port that nobody listens at now.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
