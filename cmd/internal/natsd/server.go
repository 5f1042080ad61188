package natsd

import (
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/rollcall-go/rollcall/transport/natsbus"
)

// startTimeout bounds how long Start waits for the server.
const startTimeout = 10 * time.Second

// ErrStart: the server did not come up. It wraps the cause, such as a port that
// is taken.
var ErrStart = errors.New("natsd: server did not start")

// Server is a running NATS server. Its methods may be called concurrently.
type Server struct {
	// static after Start
	ns      *server.Server
	secret  string        // what connections must show
	started chan struct{} // closed when ns.Start has returned
}

// Start runs a server and returns when it takes connections, and routes if it
// is in a cluster; it does not wait for other servers. The error names each
// fault of cfg (ErrConfig), or what kept the server from starting (ErrStart).
func Start(cfg Config) (*Server, error) {
	opts, err := cfg.options()
	if err != nil {
		return nil, err
	}
	s := &Server{secret: rand.Text(), started: make(chan struct{})}
	opts.Authorization = s.secret
	s.ns, err = server.NewServer(opts)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	logger := newLogger(cfg.Logger)
	s.ns.SetLogger(logger, false, false)
	go func() {
		defer close(s.started)
		s.ns.Start()
	}()
	if err := s.ready(logger.fatal); err != nil {
		s.Shutdown()
		return nil, err
	}
	return s, nil
}

// ready waits for the server, or for it to give up.
func (s *Server) ready(fatal <-chan error) error {
	deadline := time.Now().Add(startTimeout)
	for {
		// First this: a server that could not listen may be ready otherwise.
		select {
		case err := <-fatal:
			return fmt.Errorf("%w: %w", ErrStart, err)
		default:
		}
		if s.ns.ReadyForConnections(20 * time.Millisecond) {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%w: not ready after %v", ErrStart, startTimeout)
		}
	}
}

// Conn connects to the server inside the process, with natsbus.Options followed
// by opts. The connection is the caller's to close, before Shutdown.
func (s *Server) Conn(opts ...nats.Option) (*nats.Conn, error) {
	all := append(natsbus.Options(), nats.InProcessServer(s.ns), nats.Token(s.secret), nats.IgnoreDiscoveredServers())
	nc, err := nats.Connect("nats://in-process", append(all, opts...)...)
	if err != nil {
		return nil, fmt.Errorf("natsd: connect to the embedded server: %w", err)
	}
	return nc, nil
}

// ClusterAddr is the host:port at which routes are taken, or empty. It differs
// from what was configured where that said any free port.
func (s *Server) ClusterAddr() string {
	addr := s.ns.ClusterAddr()
	if addr == nil {
		return ""
	}
	return addr.String()
}

// OtherServers is the number of other servers that are connected by routes now.
func (s *Server) OtherServers() int {
	info, err := s.ns.Routez(nil)
	if err != nil {
		return 0
	}
	ids := make(map[string]struct{}, len(info.Routes)) // each server has a pool of routes
	for _, r := range info.Routes {
		ids[r.RemoteID] = struct{}{}
	}
	return len(ids)
}

// Shutdown ends the server and returns when its goroutines have ended. It may
// be called more than once.
func (s *Server) Shutdown() {
	s.ns.Shutdown()
	s.ns.WaitForShutdown()
	<-s.started
}
