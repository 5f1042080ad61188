package longpoll

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/rollcall-go/rollcall/channel"
	"github.com/rollcall-go/rollcall/channel/wire"
	"github.com/rollcall-go/rollcall/transport/internal/httptransport"
)

// transportName is what applications know the transport by.
const transportName = "longpoll"

// The headers that phoenix.js sends, and the parameter of the query that names
// the session (B016, B103).
const (
	authTokenHeader = "X-Phoenix-AuthToken"
	tokenHeader     = "X-Phoenix-Longpoll-Token"
	tokenParam      = "token"
)

// ServeHTTP answers one request: GET begins a session or polls one, POST brings
// messages, OPTIONS is a browser's preflight.
func (t *Transport) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Access-Control-Allow-Origin", "*")
	if !t.enter() {
		t.stats.refused.Add(1)
		t.tell(r, nil, wire.Rejection{Cause: wire.CauseDraining, Code: http.StatusServiceUnavailable})
		answerTryLater(w, http.StatusServiceUnavailable)
		return
	}
	defer t.leave()
	if !t.config.CheckOrigin.Allows(r) {
		t.tell(r, nil, wire.Rejection{
			Cause: wire.CauseOrigin, Code: statusRefused, Err: fmt.Errorf("origin %q at host %q", r.Header.Get("Origin"), r.Host),
		})
		t.stats.refused.Add(1)
		answerStatus(w, statusRefused)
		return
	}
	switch r.Method {
	case http.MethodGet:
		t.serveGet(w, r)
	case http.MethodPost:
		t.servePost(w, r)
	case http.MethodOptions:
		answerPreflight(w, r)
	default:
		t.tell(r, nil, wire.Rejection{Cause: wire.CauseHandshake, Code: http.StatusBadRequest, Err: fmt.Errorf("method %q", r.Method)})
		answerEmpty(w, http.StatusBadRequest)
	}
}

// tell tells why a request was refused: of the client, where it is one of ours.
func (t *Transport) tell(r *http.Request, c *client, why wire.Rejection) {
	why.Transport, why.Remote = transportName, r.RemoteAddr
	if c != nil {
		c.channels.Reject(why)
		return
	}
	t.reject(why)
}

// A shown token is what a request came with.
type shownToken struct {
	token
	text    string
	valid   bool // ours, and not expired
	inQuery bool // ours, expired or not, in the query
}

// readToken finds the token of a request: that of the header, or else the last
// one of the query, because an application may have a parameter of that name.
func (t *Transport) readToken(r *http.Request) shownToken {
	shown := shownToken{text: r.Header.Get(tokenHeader)}
	fromHeader := shown.text != ""
	if values := r.URL.Query()[tokenParam]; !fromHeader && len(values) > 0 {
		shown.text = values[len(values)-1]
	}
	parsed, err := parseToken(shown.text, t.key, time.Now(), t.config.TokenAge)
	shown.token = parsed
	shown.valid = err == nil
	shown.inQuery = !fromHeader && (err == nil || errors.Is(err, errExpired))
	return shown
}

// serveGet polls for the client of the token, or begins a session (B098, B099, B109).
func (t *Transport) serveGet(w http.ResponseWriter, r *http.Request) {
	shown := t.readToken(r)
	if !shown.valid {
		t.serveConnect(w, r, shown)
		return
	}
	messages, what, lost := t.poll(r.Context(), shown.token)
	switch what {
	case pollMessages:
		if err := answerPoll(w, statusMessages, shown.text, messages); err != nil {
			lost()
		}
	case pollNothing:
		_ = answerPoll(w, statusNothing, shown.text, nil)
	case pollGone:
		t.serveConnect(w, r, shown)
	case pollClosing:
		answerTryLater(w, http.StatusServiceUnavailable)
	case pollCanceled: // nobody reads an answer
	}
}

// serveConnect begins a session and answers 410 with its token: to a client
// that shows an old one, that is the end of its session.
func (t *Transport) serveConnect(w http.ResponseWriter, r *http.Request, shown shownToken) {
	info := httptransport.ConnectInfo(transportName, r, r.Header.Get(authTokenHeader))
	if values := info.Params[tokenParam]; shown.inQuery && len(values) > 0 {
		if values = values[:len(values)-1]; len(values) > 0 {
			info.Params[tokenParam] = values
		} else {
			delete(info.Params, tokenParam)
		}
	}
	c, err := t.begin(r, info)
	refused, byIntake := httptransport.RefusedBy(err)
	switch {
	case byIntake:
		t.stats.refused.Add(1)
		if refused.Why.Cause == "" {
			return // and nobody to answer
		}
		t.tell(r, nil, refused.Why)
		if refused.RetryAfter != "" {
			w.Header().Set("Retry-After", refused.RetryAfter)
		}
		answerTryLater(w, refused.Why.Code)
	case err == nil:
		_ = answerPoll(w, statusGone, c.token, nil)
	case errors.Is(err, errFull), errors.Is(err, errClosing), errors.Is(err, channel.ErrClosed):
		t.stats.refused.Add(1)
		switch { // of the third the endpoint has told
		case errors.Is(err, errFull):
			t.tell(r, nil, wire.Rejection{Cause: wire.CauseConnections, Limit: t.config.MaxSessions, Code: http.StatusServiceUnavailable})
		case errors.Is(err, errClosing):
			t.tell(r, nil, wire.Rejection{Cause: wire.CauseDraining, Code: http.StatusServiceUnavailable})
		}
		answerTryLater(w, http.StatusServiceUnavailable)
	default:
		t.stats.refused.Add(1)
		answerStatus(w, statusRefused) // whatever the handler chose: B007
	}
}

// poll waits for messages to a client, wherever its session is. lost is to be called
// when they did not reach it.
func (t *Transport) poll(ctx context.Context, to token) (messages []string, what outcome, lost func()) {
	if to.replica != t.self {
		if t.relay == nil {
			return nil, pollGone, nil
		}
		return t.relay.poll(ctx, to)
	}
	c := t.lookup(to.client)
	if c == nil {
		return nil, pollGone, nil
	}
	frames, what := t.await(ctx, c)
	for _, f := range frames {
		messages = append(messages, string(f.Data))
	}
	return messages, what, func() { c.stop(ending{wire.ReasonClosed, endLost}) }
}

// await is a poll of a client of ours. One that was overtaken waits for the end
// of its window too, or two clients with one token would keep each other busy.
func (t *Transport) await(ctx context.Context, c *client) ([]*wire.Frame, outcome) {
	woken := make(chan struct{}, 1)
	p := &poll{wake: func() { woken <- struct{}{} }}
	frames, what := c.start(p)
	if what != pollWaits {
		return frames, what
	}
	window := time.NewTimer(t.config.Window)
	defer window.Stop()
	for {
		select {
		case <-woken:
			if ctx.Err() != nil {
				c.withdraw(p)
				return nil, pollCanceled
			}
			if frames, what := c.finish(p); what != pollOvertaken {
				return frames, what
			}
		case <-window.C:
			if frames, what := c.finish(p); what != pollOvertaken {
				return frames, what
			}
			return nil, pollNothing
		case <-ctx.Done():
			c.withdraw(p)
			return nil, pollCanceled
		case <-t.done:
			c.withdraw(p)
			return nil, pollClosing
		}
	}
}

// servePost gives on the messages of a body, which the client of the token sent (B100).
func (t *Transport) servePost(w http.ResponseWriter, r *http.Request) {
	shown := t.readToken(r)
	if !shown.valid {
		answerStatus(w, statusGone)
		return
	}
	counted := countedBody{from: http.MaxBytesReader(w, r.Body, int64(t.config.MaxBody)), t: t}
	defer counted.release()
	body, err := readBody(w, &counted, t.config.BodyTimeout)
	if err != nil {
		t.tellBody(r, shown, err)
		if errors.Is(err, errBodies) {
			answerTryLater(w, http.StatusServiceUnavailable)
			return
		}
		answerEmpty(w, http.StatusBadRequest)
		return
	}
	contentType := ""
	if values := r.Header["Content-Type"]; len(values) == 1 {
		contentType = values[0]
	}
	entries, err := parseBody(contentType, body, t.config.MaxFrame)
	if err != nil {
		t.tellBody(r, shown, err)
	}
	switch {
	case errors.Is(err, errBase64):
		answerBadBase64(w)
		return
	case err != nil:
		answerEmpty(w, http.StatusBadRequest)
		return
	}
	switch t.publish(r.Context(), shown.token, entries) {
	case answerAccepted:
		answerStatus(w, statusMessages)
	case answerTimeout:
		answerStatus(w, statusTimeout)
	default:
		answerStatus(w, statusGone)
	}
}

// A countedBody is a body whose bytes count among those of all, from when they
// have arrived until release.
type countedBody struct {
	from io.Reader
	t    *Transport
	n    int64
}

var errBodies = errors.New("longpoll: too many bytes of bodies at a time")

func (b *countedBody) Read(p []byte) (int, error) {
	n, err := b.from.Read(p)
	b.n += int64(n)
	if b.t.bodies.Add(int64(n)) > int64(b.t.config.MaxBodies) {
		return n, errBodies
	}
	return n, err
}

func (b *countedBody) release() { b.t.bodies.Add(-b.n) }

// readBody reads a body in at most a time. The deadline is taken back: it would
// look like the client's going away.
func readBody(w http.ResponseWriter, r io.Reader, timeout time.Duration) ([]byte, error) {
	controller := http.NewResponseController(w)
	_ = controller.SetReadDeadline(time.Now().Add(timeout))
	body, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	_ = controller.SetReadDeadline(time.Time{})
	return body, nil
}

// tellBody tells why a body was not taken. One that broke off is no news.
func (t *Transport) tellBody(r *http.Request, shown shownToken, err error) {
	c := t.lookup(shown.client) // nil where it is another replica's
	switch tooLarge := (*http.MaxBytesError)(nil); {
	case errors.As(err, &tooLarge):
		t.tell(r, c, wire.Rejection{Cause: wire.CauseFrameSize, Limit: t.config.MaxBody, Code: http.StatusBadRequest})
	case errors.Is(err, errBodies):
		t.tell(r, c, wire.Rejection{Cause: wire.CauseConnections, Limit: t.config.MaxBodies, Code: http.StatusServiceUnavailable, Err: err})
	case errors.Is(err, errEntryTooBig):
		t.tell(r, c, wire.Rejection{Cause: wire.CauseFrameSize, Limit: t.config.MaxFrame, Code: http.StatusBadRequest, Err: err})
	case errors.Is(err, errBase64):
		t.tell(r, c, wire.Rejection{Cause: wire.CauseMalformed, Code: http.StatusInternalServerError, Err: err})
	case errors.Is(err, os.ErrDeadlineExceeded):
		t.tell(r, c, wire.Rejection{Cause: wire.CauseIdle, Limit: t.config.BodyTimeout, Code: http.StatusBadRequest})
	}
}

// publish gives on the messages of a client, wherever its session is.
func (t *Transport) publish(ctx context.Context, to token, entries []entry) wireStatus {
	if to.replica != t.self {
		if t.relay == nil {
			return answerGone
		}
		return t.relay.publish(ctx, to, entries)
	}
	c := t.lookup(to.client)
	if c == nil {
		return answerGone
	}
	return c.receive(ctx, entries)
}

// isUnsupported tells of an http.ResponseWriter that has no such method.
func isUnsupported(err error) bool { return errors.Is(err, http.ErrNotSupported) }
