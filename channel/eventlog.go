package channel

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"golang.org/x/time/rate"

	"github.com/rollcall-go/rollcall/channel/internal/jsontext"
	"github.com/rollcall-go/rollcall/channel/wire"
)

// LogNever is a level at which nothing is logged.
const LogNever = slog.Level(math.MinInt32)

// levelOr returns the level of what may be nil.
func levelOr(l slog.Leveler, def slog.Level) slog.Level {
	if l == nil {
		return def
	}
	return l.Level()
}

// The levels unless a handler or a route says otherwise (B086).
const (
	logConnect  = slog.LevelInfo
	logJoin     = slog.LevelInfo
	logHandleIn = slog.LevelDebug
)

// logsTopic: what phoenix.js itself does with such topics is no news (B086).
func logsTopic(topic string) bool { return !strings.HasPrefix(topic, wire.TopicPhoenix) }

// eventLog writes what [Telemetry] is told into a log. Its messages are
// constant, and what varies are attributes.
//
// Clients cause its lines, so they are bounded: parameters by maxLogged, names by
// MaxTopic, errors by maxError, and rejections, of which a client may cause any
// number, by a budget.
type eventLog struct {
	// static
	logger *slog.Logger
	filter ParamFilter

	mu      sync.Mutex
	budget  *rate.Limiter // of rejections
	skipped uint64        // rejections that found it empty, since the last that did not
}

// rejectRate and rejectBurst are how many rejections a second are logged.
const (
	rejectRate  = 50
	rejectBurst = 200
)

func newEventLog(logger *slog.Logger, filter ParamFilter) *eventLog {
	return &eventLog{logger: logger, filter: filter, budget: rate.NewLimiter(rejectRate, rejectBurst)}
}

// wants reports whether lines of a level are written.
func (l *eventLog) wants(level slog.Level) bool {
	return level != LogNever && l.logger.Enabled(context.Background(), level)
}

func (l *eventLog) connect(e ConnectEvent) {
	level := levelOr(e.Handler.Log, logConnect)
	if !l.wants(level) {
		return
	}
	c := e.Request
	attrs := make([]slog.Attr, 0, 8)
	if e.Handler.Name != "" {
		attrs = append(attrs, slog.String("handler", e.Handler.Name))
	}
	attrs = append(attrs,
		slog.Duration("duration", e.Duration),
		slog.String("transport", c.transport),
		slog.String("serializer", e.Protocol),
		slog.String("remote", addrString(c.remote)),
		slog.String("id", c.ID()),
		slog.String("params", l.filter.params(c.Params)),
	)
	if e.Err != nil {
		l.write(level, "channel: refused connection", append(attrs, slog.String("error", clip(e.Err.Error(), maxError))))
		return
	}
	l.write(level, "channel: connected", attrs)
}

func (l *eventLog) join(e JoinEvent) {
	m := e.Socket.m
	level := levelOr(m.route.LogJoin, logJoin)
	if !l.wants(level) || !logsTopic(m.topic) {
		return
	}
	attrs := append(l.channelAttrs(m, e.Params), slog.Duration("duration", e.Duration))
	switch refusal := (*Refusal)(nil); {
	case e.Err == nil:
		l.write(level, "channel: joined", attrs)
	case errors.As(e.Err, &refusal):
		l.write(level, "channel: refused join", append(attrs, slog.String("response", l.filter.text(refusal.Response))))
	default: // the fault itself is logged where it is found
		l.write(level, "channel: refused join", append(attrs, slog.String("response", string(wire.JoinCrashed.Bytes()))))
	}
}

func (l *eventLog) handleIn(e HandleInEvent) {
	m := e.Socket.m
	level := levelOr(m.route.LogHandleIn, logHandleIn)
	if !l.wants(level) || !logsTopic(m.topic) {
		return
	}
	l.write(level, "channel: handled", append(l.channelAttrs(m, e.Payload),
		slog.String("event", clip(e.Event, wire.MaxTopic)), slog.Duration("duration", e.Duration)))
}

func (l *eventLog) channelAttrs(m *member, params Payload) []slog.Attr {
	return []slog.Attr{
		slog.String("topic", m.topic),
		slog.String("channel", reflect.TypeOf(m.channel).String()),
		slog.String("remote", addrString(m.conn.remote)),
		slog.String("id", m.conn.ID()),
		slog.String("params", l.filter.payload(params)),
	}
}

func (l *eventLog) drain(e DrainEvent) {
	if l.wants(slog.LevelInfo) {
		l.write(slog.LevelInfo, "channel: draining", []slog.Attr{
			slog.Int("count", e.Count), slog.Int("total", e.Total), slog.Duration("interval", e.Interval),
			slog.Int("round", e.Index), slog.Int("rounds", e.Rounds), slog.Duration("elapsed", e.Elapsed),
		})
	}
}

func (l *eventLog) reject(now func() time.Time, r RejectEvent) {
	level := slog.LevelWarn
	switch r.Cause {
	case wire.CauseIdle, wire.CauseDraining: // clients vanish, and replicas are replaced
		level = slog.LevelInfo
	case wire.CauseFault, wire.CauseBinary: // the program's
		level = slog.LevelError
	}
	if !l.wants(level) {
		return
	}
	skipped, ok := l.spend(now())
	if !ok {
		return
	}
	attrs := []slog.Attr{slog.String("cause", string(r.Cause)), slog.String("transport", r.Transport), slog.String("remote", r.Remote)}
	if r.Conn != nil {
		attrs = append(attrs, slog.String("id", r.Conn.ID()))
	}
	if r.Topic != "" {
		attrs = append(attrs, slog.String("topic", clip(r.Topic, wire.MaxTopic)))
	}
	if r.Limit != nil {
		attrs = append(attrs, slog.Any("limit", r.Limit))
	}
	if r.Code != 0 {
		attrs = append(attrs, slog.Int("code", r.Code))
	}
	if r.Err != nil {
		attrs = append(attrs, slog.String("error", clip(r.Err.Error(), maxError)))
	}
	if skipped > 0 {
		attrs = append(attrs, slog.Uint64("not_logged", skipped))
	}
	l.write(level, "channel: rejected", attrs)
}

// spend takes a line from the budget of rejections, and tells how many there
// were none for since the last one.
func (l *eventLog) spend(now time.Time) (skipped uint64, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.budget.AllowN(now, 1) {
		l.skipped++
		return 0, false
	}
	skipped, l.skipped = l.skipped, 0
	return skipped, true
}

func (l *eventLog) write(level slog.Level, message string, attrs []slog.Attr) {
	l.logger.LogAttrs(context.Background(), level, message, attrs...)
}

// clip shortens a text that clients have a part in.
func clip(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	for limit > 0 && !utf8.RuneStart(text[limit]) {
		limit--
	}
	return text[:limit] + "..."
}

// payload is a payload as it is logged. One that is large is not even looked at.
func (f ParamFilter) payload(p Payload) string {
	if p.IsBinary() || len(p.Bytes()) > maxLogged {
		return fmt.Sprintf("(%d bytes)", len(p.Bytes()))
	}
	if f.hidesNothingOf(p.JSON()) {
		return string(p.JSON())
	}
	var v any
	if err := json.Unmarshal(p.JSON(), &v); err != nil {
		return fmt.Sprintf("(%d bytes)", len(p.Bytes()))
	}
	return f.text(v)
}

// params are the parameters of a connection as they are logged: as text would do
// it, but with less ado, since they are nearly always a few strings.
func (f ParamFilter) params(p Params) string {
	names := make([]string, 0, len(p))
	for name := range p {
		names = append(names, name)
	}
	slices.Sort(names)
	b := append(make([]byte, 0, 128), '{')
	for i, name := range names {
		value, isString := p[name].(string)
		if !isString {
			return f.text(p)
		}
		if i > 0 {
			b = append(b, ',')
		}
		b = jsontext.AppendString(b, name)
		b = append(b, ':')
		b = jsontext.AppendString(b, value)
	}
	b = append(b, '}')
	if len(b) > maxLogged || !f.hidesNothingOf(b) {
		return f.text(p)
	}
	return string(b)
}

// text is the JSON of what may be shown of v.
func (f ParamFilter) text(v any) string {
	text, err := jsontext.Marshal(f.Apply(v))
	switch {
	case err != nil:
		return "(not JSON)"
	case len(text) > maxLogged:
		return fmt.Sprintf("(%d bytes)", len(text))
	}
	return string(text)
}

// maxLogged and maxError are the most bytes of parameters and of an error that
// are logged.
const (
	maxLogged = 4 << 10
	maxError  = 1 << 10
)
