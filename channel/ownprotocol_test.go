package channel

import (
	"encoding/json"
	"errors"
	"net/url"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/channel/wire"
	"github.com/rollcall-go/rollcall/channel/wire/phoenix2"
)

// A shorthand is a protocol of an application: {"j","r","t","e","p"} in binary
// frames. It counts the broadcasts that it encodes.
type shorthand struct {
	broadcasts atomic.Int64
	crash      string // the event whose messages make it panic
}

type shorthandFrame struct {
	J, R wire.Ref
	T, E string
	P    Payload
}

func (s *shorthand) Open(wire.Peer) wire.Codec { return s }

func (s *shorthand) Decode(messages []wire.Message, binary bool, data []byte) ([]wire.Message, error) {
	var f shorthandFrame
	if err := json.Unmarshal(data, &f); err != nil {
		return nil, err
	}
	if f.E == s.crash {
		panic("decode " + f.E)
	}
	return append(messages, wire.Message{Kind: wire.KindBroadcast, JoinRef: f.J, Ref: f.R, Topic: f.T, Event: f.E, Payload: f.P}), nil
}

func (s *shorthand) Broadcast(frames []*wire.Frame, m wire.Message) ([]*wire.Frame, error) {
	s.broadcasts.Add(1)
	return s.Encode(frames, m)
}

func (s *shorthand) Encode(frames []*wire.Frame, m wire.Message) ([]*wire.Frame, error) {
	switch m.Event {
	case s.crash:
		panic("encode " + m.Event)
	case "unsayable":
		return nil, errors.New("no word for it")
	case "nil":
		return append(frames, nil), nil
	case "nothing":
		return frames, nil
	case "garbage":
		return append(frames, &wire.Frame{Data: []byte("\xff")}), nil
	}
	data, err := json.Marshal(shorthandFrame{m.JoinRef, m.Ref, m.Topic, m.Event + m.Status, m.Payload})
	return append(frames, &wire.Frame{Binary: true, Data: data}), err
}

func (c *client) speak(text string) []string {
	c.t.Helper()
	require.Nil(c.t, c.conn.Receive(true, []byte(text)), text)
	return c.hear()
}

// hear is take for a client that gets text in binary frames.
func (c *client) hear() []string {
	synctest.Wait()
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	var out []string
	for _, f := range c.link.frames {
		require.True(c.t, f.Binary, "%s", f.Data)
		out = append(out, string(f.Data))
	}
	c.link.frames = nil
	return out
}

func TestProtocolsOfTheApplication(t *testing.T) {
	proves(t, "B043")
	bubble(t, func(t *testing.T) {
		e := startOne(t, Config{})
		own, strict := &shorthand{}, &shorthand{}
		routes := referenceHandler(t).Routes
		mount := func(protocols map[string]wire.Protocol) *Handler {
			h, err := NewHandler(Handler{Connect: referenceHandler(t).Connect, Routes: routes, Protocols: protocols})
			require.NoError(t, err)
			return h
		}
		h := mount(map[string]wire.Protocol{"3.0": own, "2.5": phoenix2.Protocol{}, "4.0": strict})
		other := mount(map[string]wire.Protocol{"1.0": own}) // another mount, another list

		// vsn says which; what none of them serves is served as ever.
		for vsn, want := range map[string]string{
			"3.0.0": "3.0", "3.0.9": "3.0", "4.0.0": "4.0", "2.5.7": "2.5", "2.0.3": "2.0", "1.0.0": "1.0",
		} {
			c, err := e.Connect(t.Context(), h, wire.ConnectInfo{Params: url.Values{"user": {"a"}, "vsn": {vsn}}})
			require.NoError(t, err, vsn)
			require.Equal(t, want, c.protocol.Version, vsn)
		}
		for _, vsn := range []string{"2.6.0", "1.1.0", "3", "3.0"} {
			_, err := e.Connect(t.Context(), h, wire.ConnectInfo{Params: url.Values{"user": {"a"}, "vsn": {vsn}}})
			require.ErrorIs(t, err, wire.ErrVersion, vsn)
		}

		// A whole conversation, and a room in which several are spoken.
		a, b := connect(t, e, h, "vsn=3.0.0&user=a"), connect(t, e, other, "vsn=1.0.0&user=b")
		two, twoToo := connect(t, e, h, "vsn=2.0.0&user=c"), connect(t, e, h, "vsn=2.5.0&user=d")
		last := connect(t, e, h, "vsn=4.0.0&user=e")
		require.Equal(t, []string{`{"J":1,"R":"2","T":"echo:x","E":"phx_replyok","P":{"echo":{"n":1},"topic":"echo:x"}}`},
			a.speak(`{"j":1,"r":"2","t":"echo:x","e":"phx_join","p":{"n": 1}}`))
		require.Len(t, b.speak(`{"J":null,"R":"1","T":"echo:x","E":"phx_join"}`), 1)
		require.Len(t, last.speak(`{"J":"1","R":"1","T":"echo:x","E":"phx_join"}`), 1)
		two.get(`["1","1","echo:x","phx_join",{}]`)
		twoToo.get(`["1","1","echo:x","phx_join",{}]`)
		const said = `{"J":null,"R":null,"T":"echo:x","E":"shout","P":{"n":2}}`
		require.Equal(t, []string{said}, a.speak(`{"J":1,"R":"3","T":"echo:x","E":"shout","P":{"n":2}}`))
		require.Equal(t, []string{said}, b.hear())
		require.Equal(t, []string{said}, last.hear())
		require.Equal(t, []string{`[null,null,"echo:x","shout",{"n":2}]`}, two.take())
		require.Equal(t, []string{`[null,null,"echo:x","shout",{"n":2}]`}, twoToo.take())
		require.EqualValues(t, 1, own.broadcasts.Load(), "one encoding a protocol, for the clients of all handlers")
		require.EqualValues(t, 1, strict.broadcasts.Load())
		require.NoError(t, e.Broadcast("echo:x", "e", nil))
		synctest.Wait()
		require.Same(t, a.link.frames[0], b.link.frames[0])
		require.True(t, a.link.frames[0].Shared)
		require.Same(t, two.link.frames[0], twoToo.link.frames[0], "version 2 under another name is version 2")
		require.Contains(t, a.speak(`{"J":1,"R":"4","T":"echo:x","E":"phx_leave"}`), `{"J":1,"R":1,"T":"echo:x","E":"phx_close","P":{}}`)

		// What it cannot read ends the connection.
		require.Equal(t, wire.CloseInternal, b.conn.Receive(false, []byte(`["1","1","echo:x","phx_join",{}]`)).Code)
		require.Equal(t, wire.CloseInternal, b.conn.Receive(true, []byte(`{"T":1}`)).Code)
		require.Equal(t, wire.CloseInternal, b.conn.Receive(true, []byte(`{"R":[]}`)).Code)
	})
}

// B043: what is wrong with an application's protocol stays with its clients.
func TestFaultsOfAProtocolOfTheApplication(t *testing.T) {
	bubble(t, func(t *testing.T) {
		logger, logged := testLog()
		e := startOne(t, Config{Logger: logger})
		h, err := NewHandler(Handler{Routes: handlerOf(script{}).Routes, Protocols: map[string]wire.Protocol{"3.0": &shorthand{crash: "boom"}}})
		require.NoError(t, err)
		theirs, ours := connect(t, e, h, "vsn=3.0.0"), connect(t, e, h, "")
		theirs.speak(`{"R":"1","T":"t","E":"phx_join"}`)
		ours.get(`["1","1","t","phx_join",{}]`)
		for _, event := range []string{"boom", "unsayable", "nil", "garbage"} {
			require.NoError(t, e.Broadcast("t", event, nil))
			require.Empty(t, theirs.hear(), event)
			require.Equal(t, []string{`[null,null,"t","` + event + `",{}]`}, ours.take())
			require.Contains(t, logged.String(), "event="+event)
		}
		require.Contains(t, logged.String(), "panic of the protocol in Broadcast: encode boom")
		require.NoError(t, e.Broadcast("t", "fine", nil))
		require.Len(t, theirs.hear(), 1)
		require.Equal(t, wire.CloseInternal, theirs.conn.Receive(true, []byte(`{"R":"1","T":"t","E":"boom"}`)).Code)
		require.Contains(t, logged.String(), "panic of the protocol in Decode: decode boom")
		require.Equal(t, wire.CloseInternal, theirs.conn.Receive(true, []byte("{\"R\":\"1\",\"T\":\"t\",\"E\":\"\\u0000\"}")[:5]).Code)
	})
}

func TestNewHandlerNamesEveryFaultOfItsProtocols(t *testing.T) {
	_, err := NewHandler(Handler{
		Routes:    []Route{{Pattern: ""}},
		Protocols: map[string]wire.Protocol{"3.0": nil, "three": phoenix2.Protocol{}, "3.1": incomparable{nil}, "4.0": &shorthand{}},
	})
	for _, fault := range []string{
		"the pattern is empty", `protocol "3.0": it is nil`,
		`protocol "three": the version is not of the form major.minor`, `protocol "3.1": a channel.incomparable cannot be compared`,
	} {
		require.ErrorContains(t, err, fault)
	}
	require.NotContains(t, err.Error(), "4.0")
}

type incomparable struct{ words []string }

func (incomparable) Open(wire.Peer) wire.Codec { return nil }

func (incomparable) Broadcast([]*wire.Frame, wire.Message) ([]*wire.Frame, error) { return nil, nil }
