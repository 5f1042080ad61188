package serve

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/rollcall-go/rollcall/bus"
	"github.com/rollcall-go/rollcall/channel"
	"github.com/rollcall-go/rollcall/channel/wire"
	"github.com/rollcall-go/rollcall/cmd/internal/natsd"
	"github.com/rollcall-go/rollcall/metrics"
	"github.com/rollcall-go/rollcall/presence"
	"github.com/rollcall-go/rollcall/transport/intake"
	"github.com/rollcall-go/rollcall/transport/longpoll"
	"github.com/rollcall-go/rollcall/transport/membus"
	"github.com/rollcall-go/rollcall/transport/natsbus"
	"github.com/rollcall-go/rollcall/transport/websocket"
)

// What HTTP requests may cost. Connections that were upgraded to WebSocket are
// not bound by them.
const (
	readHeaderTimeout = 10 * time.Second
	readTimeout       = 30 * time.Second
	writeTimeout      = 60 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 64 << 10
	// maxHTTPConns is the most connections that are no WebSockets: twice the
	// sessions of long polling there may be, for a poll and a post each.
	maxHTTPConns = 20_000
	// httpGrace is how long requests under way get at a shutdown. Browsers hold
	// connections open that they have never used; net/http alone would wait 5 s
	// for those.
	httpGrace = time.Second
	// flushTimeout is how long NATS gets to take what was sent last. A
	// connection that is lost meanwhile would wait until it is back.
	flushTimeout = 2 * time.Second
)

// replica is everything that runs, in the order in which it starts. Fields are
// static after start; those that a failed start did not reach are nil, which
// stop takes into account.
type replica struct {
	name   string
	logger *slog.Logger

	listener net.Listener
	admin    *admin        // nil without --admin-listen
	embedded *natsd.Server // only with --cluster-listen
	nc       *nats.Conn    // nil when alone
	natsbus  *natsbus.Bus  // the same
	tracker  *presence.Tracker
	endpoint *channel.Endpoint
	intake   *intake.Intake
	registry *prometheus.Registry
	closers  []func(context.Context) error
	server   *http.Server

	serving  sync.WaitGroup
	failed   chan error // capacity 2: that HTTP is served no more, though nobody asked for it
	draining atomic.Bool
}

// start starts all of it, or nothing.
func start(ctx context.Context, app App, s *settings, logger *slog.Logger) (*replica, error) {
	r := &replica{name: s.name, logger: logger, failed: make(chan error, 2)}
	if err := r.start(ctx, app, s); err != nil {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.shutdownTimeout)
		defer cancel()
		return nil, errors.Join(err, r.stop(last))
	}
	return r, nil
}

func (r *replica) start(ctx context.Context, app App, s *settings) error {
	var err error
	if r.listener, err = listen(ctx, "--listen", s.listen); err != nil {
		return err
	}
	if s.adminListen != "" {
		if r.admin, err = listenAdmin(ctx, s.adminListen); err != nil {
			return err
		}
	}
	if r.name == "" {
		r.name = defaultName(r.listener.Addr())
	}
	bus, err := r.startBus(s)
	if err != nil {
		return err
	}
	if r.tracker, err = presence.Start(ctx, presence.Config{Name: r.name, Bus: bus, Logger: r.logger}); err != nil {
		return err
	}
	events := metrics.ChannelEvents(r.name, metrics.EventOptions{})
	if r.endpoint, err = channel.New(channel.Config{
		Bus: bus, Presence: r.tracker, Logger: r.logger, Telemetry: []channel.Telemetry{events.Telemetry()},
		MessageRate: float64(s.messageRate), MessageBurst: 2 * s.messageRate, MessageStart: s.messageStart(),
	}); err != nil {
		return err
	}
	if r.intake, err = intake.New(r.intakeOptions(s)); err != nil {
		return err
	}
	r.registry = prometheus.NewRegistry()
	r.registry.MustRegister(
		events, metrics.Channel(r.name, r.endpoint), metrics.Presence(r.name, r.tracker), metrics.Intake(r.name, r.intake),
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	if r.natsbus != nil {
		r.registry.MustRegister(metrics.NATS(r.name, r.natsbus))
	}

	env := &Env{
		Replica: r.name, Endpoint: r.endpoint, Tracker: r.tracker, Logger: r.logger,
		Socket:  websocket.Config{CheckOrigin: s.origins, Logger: r.logger, MaxConnections: s.maxConns, Intake: r.intake},
		Polling: longpoll.Config{CheckOrigin: s.origins, Logger: r.logger, Intake: r.intake},
	}
	if !s.alone() { // or nobody else has a session
		env.Polling.Bus = bus
	}
	handler, err := app.Build(env)
	r.closers = env.closers // also those of a failed Build
	if err != nil {
		return err
	}
	if !env.Authenticated {
		r.logger.Warn("no authentication is configured: whoever reaches the address may connect and join", "address", r.listener.Addr().String())
	}
	return r.serve(handler)
}

// listen opens a listening socket; flag is the one that named its address.
func listen(ctx context.Context, flag, address string) (net.Listener, error) {
	// No keep-alives of TCP, which take four system calls to set and two packets
	// every 15 s: who is silent is closed sooner, by the transports and net/http.
	quiet := net.ListenConfig{KeepAlive: -1}
	l, err := quiet.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen at %s: %w", address, withoutAddress(err, flag))
	}
	return l, nil
}

// startBus makes the bus. A replica that can have no others needs no network: a
// topic would cost it 1.3 KB of NATS subscription, here and in a server that
// nobody else can reach, and each of its changes a way there and back.
func (r *replica) startBus(s *settings) (bus.Bus, error) {
	if s.alone() {
		return membus.New().Bus(), nil
	}
	err := r.startNATS(s)
	if err != nil {
		return nil, err
	}
	r.natsbus, err = natsbus.New(r.nc, natsbus.Config{Logger: r.logger, Buckets: s.buckets})
	return r.natsbus, err
}

// startNATS connects to NATS, embedded or not.
func (r *replica) startNATS(s *settings) error {
	var err error
	name := nats.Name(r.name)
	if s.nats != "" {
		if r.nc, err = natsd.Dial(s.nats, name); errors.Is(err, natsd.ErrConfig) {
			return usagef("--nats: %w", err)
		}
		return err
	}
	cfg := natsd.Config{ClusterListen: s.clusterListen, Routes: s.routes, Logger: r.logger}
	if r.embedded, err = natsd.Start(cfg); err != nil {
		r.embedded = nil
		if errors.Is(err, natsd.ErrConfig) {
			return usagef("--cluster-listen, --routes: %w", err)
		}
		return fmt.Errorf("--cluster-listen %s: %w", s.clusterListen, err)
	}
	r.nc, err = r.embedded.Conn(name)
	return err
}

// intakeOptions are the bounds of those who connect.
func (r *replica) intakeOptions(s *settings) intake.Config {
	options := intake.Config{MaxPerAddress: s.maxPerAddress, MaxHTTP: maxHTTPConns}
	if s.addressHeader != "" {
		options.Address = intake.FromHeader(s.addressHeader)
	}
	options.Refused = func(c net.Conn, why *intake.Refusal) {
		cause := wire.CauseConnections
		if errors.Is(why, intake.ErrAddress) {
			cause = wire.CauseAddress
		}
		r.endpoint.Reject(wire.Rejection{Cause: cause, Transport: "http", Remote: c.RemoteAddr().String(), Limit: why.Limit})
	}
	return options
}

// serve begins to serve HTTP.
func (r *replica) serve(app http.Handler) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", r.serveHealth)
	if r.admin == nil {
		mux.Handle("GET /metrics", r.metrics())
	} else if err := r.serveAdmin(); err != nil {
		return err
	}
	mux.Handle("/", app)
	r.server = r.newServer(mux, r.intake)
	r.listener = r.intake.Listener(r.listener)
	r.run(r.server, r.listener)
	return nil
}

// newServer is a server within the bounds that every server here has, and those
// of an Intake.
func (r *replica) newServer(h http.Handler, in *intake.Intake) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          r.httpLog(),
		ConnState:         in.ConnState,
	}
}

// httpLog gets what HTTP servers have to say.
func (r *replica) httpLog() *log.Logger {
	return slog.NewLogLogger(r.logger.Handler(), slog.LevelWarn)
}

// run serves until server is shut down, which stopHTTP waits for.
func (r *replica) run(server *http.Server, l net.Listener) {
	r.serving.Go(func() {
		if err := server.Serve(l); !r.draining.Load() {
			r.failed <- err
		}
	})
}

// metrics serves the figures.
func (r *replica) metrics() http.Handler {
	return promhttp.HandlerFor(r.registry, promhttp.HandlerOpts{ErrorLog: r.httpLog()})
}

// stop shuts down what was started, within ctx, in the order of the package
// documentation. The error names every part that did not end well.
func (r *replica) stop(ctx context.Context) error {
	var faults []error
	fault := func(what string, err error) {
		if err != nil {
			faults = append(faults, fmt.Errorf("shutdown: %s: %w", what, err))
		}
	}
	clients, cancel := part(ctx, 0.75)
	defer cancel()

	r.draining.Store(true)
	if r.listener != nil {
		r.listener.Close()
	}
	if r.endpoint != nil {
		fault("clients", r.endpoint.Close(clients)) // drains first
	}
	for _, closer := range slices.Backward(r.closers) {
		fault("app", closer(clients))
	}
	r.stopHTTP(clients)
	if r.tracker != nil {
		fault("presence", r.tracker.Close(ctx))
	}
	if r.natsbus != nil {
		fault("bus", r.natsbus.Close())
	}
	if r.nc != nil {
		if err := r.flush(ctx); err != nil {
			// The others find out by themselves.
			r.logger.Warn("shutdown: other replicas may not have been told", "error", err)
		}
		r.nc.Close()
	}
	if r.embedded != nil {
		r.embedded.Shutdown()
	}
	return errors.Join(faults...)
}

// flush makes sure that NATS has what was sent.
func (r *replica) flush(ctx context.Context) error {
	if !r.nc.IsConnected() {
		return nats.ErrDisconnected
	}
	ctx, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	return r.nc.FlushWithContext(ctx)
}

// stopHTTP lets requests finish for a moment, and cuts what then remains, of both
// servers at a time.
func (r *replica) stopHTTP(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, httpGrace)
	defer cancel()
	stop := func(server *http.Server) {
		if server.Shutdown(ctx) != nil {
			server.Close()
		}
	}
	switch {
	case r.admin == nil:
	case r.admin.server == nil: // the start came no further
		r.admin.listener.Close()
	default:
		r.serving.Go(func() { stop(r.admin.server) })
	}
	if r.server != nil {
		stop(r.server)
	}
	r.serving.Wait()
}

// part is a context that ends when a part of the time of ctx is over.
func part(ctx context.Context, share float64) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, time.Duration(share*float64(time.Until(deadline))))
}

// clusterAddr is where other replicas reach the embedded server, if they do.
func (r *replica) clusterAddr() string {
	if r.embedded == nil {
		return ""
	}
	return r.embedded.ClusterAddr()
}

// urlOf is where a browser on this machine finds what listens at an address.
func urlOf(address net.Addr) string {
	host, port, _ := net.SplitHostPort(address.String())
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	u := url.URL{Scheme: "http", Host: net.JoinHostPort(host, port)}
	return u.String()
}

// defaultName is the same after each restart on the same host and port.
func defaultName(address net.Addr) string {
	_, port, _ := net.SplitHostPort(address.String())
	host, err := os.Hostname()
	if err != nil || host == "" || len(host) > maxName-len("-65535") {
		host = "rollcall"
	}
	return host + "-" + port
}

// withoutAddress takes the address from an error about it, which is named
// before, and says what to do about the commonest: flag names another.
func withoutAddress(err error, flag string) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%w: another program has it; choose another with %s", syscall.EADDRINUSE, flag)
	}
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}
