package channel

import (
	"encoding/json"
	"errors"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

// A shorthand is a serializer of an application: {"j","r","t","e","p"} in binary
// frames. It counts the broadcasts that it encodes.
type shorthand struct {
	broadcasts atomic.Int64
	crash      string // the event whose messages make it panic
}

type shorthandFrame struct {
	J, R Ref
	T, E string
	P    Payload
}

func (s *shorthand) Decode(binary bool, data []byte) (Message, error) {
	var f shorthandFrame
	if err := json.Unmarshal(data, &f); err != nil {
		return Message{}, err
	}
	if f.E == s.crash {
		panic("decode " + f.E)
	}
	return Message{Kind: KindBroadcast, JoinRef: f.J, Ref: f.R, Topic: f.T, Event: f.E, Payload: f.P}, nil
}

func (s *shorthand) Encode(m Message) (*Frame, error) {
	if m.Kind == KindBroadcast {
		s.broadcasts.Add(1)
	}
	switch m.Event {
	case s.crash:
		panic("encode " + m.Event)
	case "unsayable":
		return nil, errors.New("no word for it")
	case "nothing":
		return nil, nil
	case "garbage":
		return &Frame{Data: []byte("\xff")}, nil
	}
	data, err := json.Marshal(shorthandFrame{m.JoinRef, m.Ref, m.Topic, m.Event + m.Status, m.Payload})
	return &Frame{Binary: true, Data: data}, err
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

func TestSerializersOfTheApplication(t *testing.T) {
	proves(t, "B043")
	bubble(t, func(t *testing.T) {
		e := startOne(t, Config{})
		own, strict := &shorthand{}, &shorthand{}
		routes := referenceHandler(t).Routes
		mount := func(serializers ...ServedVersion) *Handler {
			h, err := NewHandler(Handler{Connect: referenceHandler(t).Connect, Routes: routes, Serializers: serializers})
			require.NoError(t, err)
			return h
		}
		h := mount(ServedVersion{"~> 3.0", own}, ServedVersion{"~> 2.5.0", V2()}, ServedVersion{">= 3.0.0", strict})
		other := mount(ServedVersion{"~> 1.0", own}) // another mount, another list

		// vsn says which; what none of them serves is served as ever.
		for vsn, want := range map[string]string{
			"3.0.0": "~> 3.0", "3.9.1": "~> 3.0", "4.0.0": ">= 3.0.0", "2.5.7": "~> 2.5.0", "2.0.3": "2.0", "1.0.0": "1.0",
		} {
			c, err := e.Connect(t.Context(), h, ConnectInfo{Params: url.Values{"user": {"a"}, "vsn": {vsn}}})
			require.NoError(t, err, vsn)
			require.Equal(t, want, c.dialect.String(), vsn)
		}
		for _, vsn := range []string{"2.6.0", "1.1.0", "3", "3.0"} {
			_, err := e.Connect(t.Context(), h, ConnectInfo{Params: url.Values{"user": {"a"}, "vsn": {vsn}}})
			require.ErrorIs(t, err, ErrVersion, vsn)
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
		require.EqualValues(t, 1, own.broadcasts.Load(), "one encoding a serializer, for the clients of all handlers")
		require.EqualValues(t, 1, strict.broadcasts.Load())
		require.NoError(t, e.Broadcast("echo:x", "e", nil))
		synctest.Wait()
		require.Same(t, a.link.frames[0], b.link.frames[0])
		require.True(t, a.link.frames[0].Shared)
		require.Same(t, two.link.frames[0], twoToo.link.frames[0], "V2 under another version is V2")
		require.Contains(t, a.speak(`{"J":1,"R":"4","T":"echo:x","E":"phx_leave"}`), `{"J":1,"R":1,"T":"echo:x","E":"phx_close","P":{}}`)

		// What it cannot read ends the connection.
		require.Equal(t, CloseInternal, b.conn.Receive(false, []byte(`["1","1","echo:x","phx_join",{}]`)).Code)
		require.Equal(t, CloseInternal, b.conn.Receive(true, []byte(`{"T":1}`)).Code)
		require.Equal(t, CloseInternal, b.conn.Receive(true, []byte(`{"R":[]}`)).Code)
	})
}

// B043: what is wrong with an application's serializer stays with its clients.
func TestFaultsOfASerializerOfTheApplication(t *testing.T) {
	bubble(t, func(t *testing.T) {
		logger, logged := testLog()
		e := startOne(t, Config{Logger: logger})
		h, err := NewHandler(Handler{Routes: handlerOf(script{}).Routes, Serializers: []ServedVersion{{"3.0.0", &shorthand{crash: "boom"}}}})
		require.NoError(t, err)
		theirs, ours := connect(t, e, h, "vsn=3.0.0"), connect(t, e, h, "")
		theirs.speak(`{"R":"1","T":"t","E":"phx_join"}`)
		ours.get(`["1","1","t","phx_join",{}]`)
		for _, event := range []string{"boom", "unsayable", "nothing", "garbage"} {
			require.NoError(t, e.Broadcast("t", event, nil))
			require.Empty(t, theirs.hear(), event)
			require.Equal(t, []string{`[null,null,"t","` + event + `",{}]`}, ours.take())
			require.Contains(t, logged.String(), "event="+event)
		}
		require.Contains(t, logged.String(), "panic of the serializer in Encode: encode boom")
		require.NoError(t, e.Broadcast("t", "fine", nil))
		require.Len(t, theirs.hear(), 1)
		require.Equal(t, CloseInternal, theirs.conn.Receive(true, []byte(`{"R":"1","T":"t","E":"boom"}`)).Code)
		require.Contains(t, logged.String(), "panic of the serializer in Decode: decode boom")
		require.Equal(t, CloseInternal, theirs.conn.Receive(true, []byte("{\"R\":\"1\",\"T\":\"t\",\"E\":\"\\u0000\"}")[:5]).Code)
	})
}

func TestNewHandlerNamesEveryFaultOfItsSerializers(t *testing.T) {
	_, err := NewHandler(Handler{
		Routes:      []Route{{Pattern: ""}},
		Serializers: []ServedVersion{{"~> 3.0", nil}, {"three", V2()}, {"3.0.0", incomparable{nil}}, {"~> 4.0", &shorthand{}}},
	})
	for _, fault := range []string{
		"the pattern is empty", `serializer 0 ("~> 3.0"): Serializer is nil`,
		`serializer 1 ("three"): "three" is no requirement`, `serializer 2 ("3.0.0"): a channel.incomparable cannot be compared`,
	} {
		require.ErrorContains(t, err, fault)
	}
	require.NotContains(t, err.Error(), "serializer 3")
}

type incomparable struct{ words []string }

func (incomparable) Decode(bool, []byte) (Message, error) { return Message{}, nil }
func (incomparable) Encode(Message) (*Frame, error)       { return nil, nil }

func TestRefsAndPayloadsInJSON(t *testing.T) {
	for text, want := range map[string]Ref{`"1"`: StringRef("1"), `1.50`: {text: "1.50"}, `null`: {}, `""`: StringRef("")} {
		var r Ref
		require.NoError(t, json.Unmarshal([]byte(text), &r))
		require.Equal(t, want, r)
		again, err := json.Marshal(r)
		require.NoError(t, err)
		require.Equal(t, text, string(again))
	}
	require.Error(t, json.Unmarshal([]byte(`{}`), new(Ref)))
	var p Payload
	require.NoError(t, json.Unmarshal([]byte(`{"a": [1, 2]}`), &p))
	require.Equal(t, `{"a":[1,2]}`, string(p.JSON()))
	require.NoError(t, json.Unmarshal([]byte(`null`), &p))
	require.Equal(t, `{}`, strings.TrimSpace(string(p.JSON())))
}
