package channel

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestReplay sends what was sent to a Phoenix server, and compares what comes
// back with what that server sent. See testdata/reference.
//
// A step is the frames that were sent one after the other, and what came until
// the next was sent. The frames of a step are compared as a multiset, because
// what different processes of the reference cause may swap; the order that is
// promised has tests of its own. Presence frames are compared by what the
// client's Presence holds after the step: diffs may be merged.
func TestReplay(t *testing.T) {
	files, err := filepath.Glob("testdata/reference/*.v2.txt")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			bubble(t, func(t *testing.T) { replay(t, string(text)) })
		})
	}
}

// intended are the differences that doc.go lists.
var intended = []struct {
	why string
	// extra: we may send a frame that the reference did not; sent is the step's.
	extra func(frame any, sent []any) bool
	// instead: we may send got where the reference sent want.
	instead func(want, got any, sent []any) bool
}{{
	why: "a leave is always answered, also when a join of its topic comes right behind it",
	extra: func(frame any, sent []any) bool {
		f := frame.([]any)
		return f[3] == "phx_reply" && slices.ContainsFunc(sent, func(s any) bool {
			m := s.([]any)
			return m[3] == "phx_leave" && m[1] == f[1]
		})
	},
}, {
	why: "a push right behind the end of its channel gets nothing or unmatched topic, as in the reference",
	extra: func(frame any, sent []any) bool {
		f := frame.([]any)
		if !strings.Contains(fmt.Sprint(f[4]), "unmatched topic") {
			return false
		}
		ends := slices.IndexFunc(sent, func(s any) bool { e := s.([]any)[3]; return e == "phx_leave" || e == "crash" })
		push := slices.IndexFunc(sent, func(s any) bool { return s.([]any)[1] == f[1] })
		return ends >= 0 && push > ends
	},
}, {
	why: "JSON of a client is passed on as it came: of two equal keys the last counts, not the first",
	instead: func(want, got any, sent []any) bool {
		w, g := fmt.Sprint(want), fmt.Sprint(got)
		return strings.Contains(w, "map[a:2 b:4 z:1]") && strings.ReplaceAll(w, "a:2", "a:3") == g
	},
}, {
	why: "a topic has at most 255 bytes",
	instead: func(want, got any, sent []any) bool {
		topic, _ := want.([]any)[2].(string)
		return len(topic) > MaxTopic && got.([]any)[2] == topic
	},
}}

var (
	lineConnect = regexp.MustCompile(`^-- \[(\w+)\] connect /socket/websocket\?(\S*)$`)
	lineText    = regexp.MustCompile(`^(>>|<<) \[(\w+)\] (\[.*\])$`)
	lineBinary  = regexp.MustCompile(`^(>>|<<)B \[(\w+)\] ([0-9a-f]*) `)
	lineEnd     = regexp.MustCompile(`^-- \[(\w+)\] client (closes|drops)`)
	lineClosed  = regexp.MustCompile(`^-- \[(\w+)\] closed code=(\d+)`)
	lineOther   = regexp.MustCompile(`^(# |-- \[\w+\] 101 Switching|>> \[\w+\] PING|<< \[\w+\] PONG)`)
)

type replayed struct {
	*client
	sent []any
	want []any
	// seen and wanted are what Presence holds, by topic.
	seen, wanted map[string]presenceModel
}

func replay(t *testing.T, transcript string) {
	cl := startCluster(t, 1, nil)
	h := referenceHandler(t)
	clients := map[string]*replayed{}
	settle := func(at int) {
		time.Sleep(time.Second)
		for name, c := range clients {
			c.compare(t, fmt.Sprintf("line %d, %s", at, name))
		}
	}
	sending := false
	lines := strings.Split(strings.TrimSuffix(transcript, "\n"), "\n")
	if strings.Contains(transcript, "# 100 joins of bench:0 .. bench:99 were sent: 100 ok") {
		var joins []string
		for i := range 100 {
			joins = append(joins, fmt.Sprintf(`>> [a] ["%d","%d","bench:%d","phx_join",{}]`, i+1, i+1, i))
		}
		for i := range 100 {
			joins = append(joins, fmt.Sprintf(`<< [a] ["%d","%d","bench:%d","phx_reply",{"status":"ok","response":{}}]`, i+1, i+1, i))
		}
		at := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, "# 100 joins") })
		lines = slices.Insert(lines, at+1, joins...)
	}
	for i, line := range lines {
		if m := lineText.FindStringSubmatch(line); m != nil {
			c := clients[m[2]]
			if m[1] == "<<" {
				c.expect(t, parseFrame(t, m[3]))
				sending = false
				continue
			}
			if !sending {
				settle(i)
			}
			sending = true
			c.sent = append(c.sent, parseFrame(t, m[3]))
			c.send(m[3])
			continue
		}
		if m := lineBinary.FindStringSubmatch(line); m != nil {
			c := clients[m[2]]
			data, err := hex.DecodeString(m[3])
			require.NoError(t, err)
			if m[1] == "<<" {
				c.expect(t, m[3])
				sending = false
				continue
			}
			if !sending {
				settle(i)
			}
			sending = true
			if closing := c.conn.Receive(true, data); closing != nil {
				c.link.Close(closing.Code, closing.Reason)
				c.conn.Closed(ReasonClosed)
			}
			continue
		}
		sending = false
		switch {
		case lineConnect.MatchString(line):
			settle(i)
			m := lineConnect.FindStringSubmatch(line)
			clients[m[1]] = &replayed{
				client: connect(t, cl.endpoints[0], h, m[2]),
				seen:   map[string]presenceModel{}, wanted: map[string]presenceModel{},
			}
		case lineEnd.MatchString(line):
			settle(i)
			name := lineEnd.FindStringSubmatch(line)[1]
			clients[name].drop()
			delete(clients, name)
		case lineClosed.MatchString(line):
			m := lineClosed.FindStringSubmatch(line)
			if c := clients[m[1]]; c != nil { // else the client closed
				require.Equal(t, m[2], fmt.Sprint(c.closeCode()), "line %d", i+1)
			}
		default:
			require.Regexp(t, lineOther, line, "line %d is not understood", i+1)
		}
	}
	settle(len(lines))
}

func parseFrame(t *testing.T, text string) any {
	t.Helper()
	var v any
	require.NoError(t, json.Unmarshal([]byte(text), &v), text)
	return v
}

func (c *replayed) expect(t *testing.T, frame any) {
	if !apply(t, c.wanted, frame) {
		c.want = append(c.want, mask(frame))
	}
}

// compare compares what came since the last call with what was expected.
func (c *replayed) compare(t *testing.T, where string) {
	t.Helper()
	var got []any
	for _, text := range c.take() {
		var frame any = text
		if text[0] == '[' {
			frame = parseFrame(t, text)
		}
		if !apply(t, c.seen, frame) {
			got = append(got, mask(frame))
		}
	}
	var missing []any
	for _, w := range c.want {
		at := slices.IndexFunc(got, func(g any) bool { return reflect.DeepEqual(w, g) })
		if at < 0 {
			at = slices.IndexFunc(got, func(g any) bool { return c.allowed(w, g) })
		}
		if at < 0 {
			missing = append(missing, w)
			continue
		}
		got = slices.Delete(got, at, at+1)
	}
	got = slices.DeleteFunc(got, func(g any) bool {
		for _, d := range intended {
			if d.extra != nil && d.extra(g, c.sent) {
				return true
			}
		}
		return false
	})
	require.Empty(t, missing, "%s: not sent; sent instead: %v", where, got)
	require.Empty(t, got, "%s: sent too much", where)
	require.Equal(t, flat(c.wanted), flat(c.seen), "%s: presence", where)
	c.want, c.sent = nil, nil
}

func (c *replayed) allowed(want, got any) bool {
	for _, d := range intended {
		if d.instead != nil && d.instead(want, got, c.sent) {
			return true
		}
	}
	return false
}

// mask replaces refs of presences, which differ.
func mask(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for key := range v {
			if strings.HasPrefix(key, "phx_ref") {
				v[key] = "ref"
			} else {
				v[key] = mask(v[key])
			}
		}
	case []any:
		for i := range v {
			v[i] = mask(v[i])
		}
	}
	return v
}

// presenceModel is what phoenix.js's Presence holds: per key the metas without
// their refs, as sorted text.
type presenceModel struct {
	synced bool
	metas  map[string]map[string]string // key, ref, the rest
}

// apply applies a presence frame as phoenix.js does, and tells whether it was
// one.
func apply(t *testing.T, topics map[string]presenceModel, frame any) bool {
	t.Helper()
	f, ok := frame.([]any)
	if !ok || f[3] != "presence_state" && f[3] != "presence_diff" {
		return false
	}
	topic := f[2].(string)
	model := topics[topic]
	if f[3] == "presence_state" {
		model = presenceModel{synced: true, metas: map[string]map[string]string{}}
		model.join(f[4])
	} else {
		require.True(t, model.synced, "a diff before the state: %v", f)
		diff := f[4].(map[string]any)
		require.Len(t, diff, 2)
		model.join(diff["joins"])
		model.leave(diff["leaves"])
	}
	topics[topic] = model
	return true
}

func eachMeta(presences any, f func(key, ref, rest string)) {
	for key, p := range presences.(map[string]any) {
		for _, meta := range p.(map[string]any)["metas"].([]any) {
			m := meta.(map[string]any)
			ref := m["phx_ref"].(string)
			rest := map[string]any{}
			for k, v := range m {
				if k == "phx_ref" {
					continue
				}
				if k == "phx_ref_prev" {
					v = "ref"
				}
				rest[k] = v
			}
			f(key, ref, fmt.Sprint(rest))
		}
	}
}

func (m presenceModel) join(presences any) {
	eachMeta(presences, func(key, ref, rest string) {
		if m.metas[key] == nil {
			m.metas[key] = map[string]string{}
		}
		m.metas[key][ref] = rest
	})
}

func (m presenceModel) leave(presences any) {
	eachMeta(presences, func(key, ref, _ string) {
		delete(m.metas[key], ref)
		if len(m.metas[key]) == 0 {
			delete(m.metas, key)
		}
	})
}

// flat is the model without refs, to compare with another one's.
func flat(topics map[string]presenceModel) map[string]map[string][]string {
	out := map[string]map[string][]string{}
	for topic, m := range topics {
		out[topic] = map[string][]string{}
		for key, metas := range m.metas {
			for _, rest := range metas {
				out[topic][key] = append(out[topic][key], rest)
			}
			slices.Sort(out[topic][key])
		}
	}
	return out
}
