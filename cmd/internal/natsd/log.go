package natsd

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
)

// slogger passes the server's log on. Its methods may be called concurrently.
type slogger struct {
	// Static.
	log   *slog.Logger
	fatal chan error // capacity 1: what would have ended a process of the server's own

	mu sync.Mutex
	// Guarded by mu.
	unreached map[string]struct{} // routes that were told of, by routeOf, until they are reached
}

func newLogger(l *slog.Logger) *slogger {
	if l == nil {
		l = slog.New(slog.DiscardHandler)
	}
	return &slogger{
		log: l.With(slog.String("component", "nats-server")), fatal: make(chan error, 1),
		unreached: map[string]struct{}{},
	}
}

func (l *slogger) Warnf(format string, v ...any) { l.log.Warn(fmt.Sprintf(format, v...)) }
func (l *slogger) Debugf(string, ...any)         {}
func (l *slogger) Tracef(string, ...any)         {}

// What the server says of routes.
const (
	routeFailed  = "Error trying to connect to route" // with the error as the last argument
	routeCreated = " - Route connection created"      // after "host:port - rid:7"
)

func (l *slogger) Noticef(format string, v ...any) {
	text := fmt.Sprintf(format, v...)
	if who, ok := strings.CutSuffix(text, routeCreated); ok {
		address, _, _ := strings.Cut(who, " - ")
		l.reached(address)
	}
	l.log.Debug(text)
}

func (l *slogger) Errorf(format string, v ...any) {
	if strings.HasPrefix(format, routeFailed) && len(v) > 0 {
		if err, ok := v[len(v)-1].(error); ok {
			l.notReached(err)
			return
		}
	}
	l.log.Error(fmt.Sprintf(format, v...))
}

// notReached tells of a route that could not be dialled, once until it could. That
// is no fault: somebody has to be the first to start, and others end. The server
// reports it with every attempt, of each of the four connections that it wants.
func (l *slogger) notReached(err error) {
	route := routeOf(err)
	l.mu.Lock()
	_, told := l.unreached[route]
	l.unreached[route] = struct{}{}
	l.mu.Unlock()
	if !told {
		l.log.Warn("another replica is not reached, trying each second", "error", err)
	}
}

func (l *slogger) reached(route string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.unreached, route)
}

// routeOf is the address that was dialled, or where there was none, since a name
// means nobody, all that is known.
func routeOf(err error) string {
	var op *net.OpError
	if errors.As(err, &op) && op.Addr != nil {
		return op.Addr.String()
	}
	return err.Error()
}

// Fatalf is what the server calls where it expects the process to end. Start
// returns the first; later ones can only be logged.
func (l *slogger) Fatalf(format string, v ...any) {
	err := fmt.Errorf(format, v...)
	for _, arg := range v {
		if cause, ok := arg.(error); ok { // the caller has the words, keep the cause
			err = &fatalError{err.Error(), cause}
		}
	}
	select {
	case l.fatal <- err:
	default:
	}
	l.log.Error(err.Error())
}

type fatalError struct {
	text  string
	cause error
}

func (e *fatalError) Error() string { return e.text }
func (e *fatalError) Unwrap() error { return e.cause }
