package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// frame is what one frame says, of either version. What is no frame of the
// protocol (a binary frame, a pong, a close) has its text only.
type frame struct {
	text    string // as sent; "closed 1011" and the like for the end
	ref     any
	topic   string
	event   string
	payload any
	// masked is what is compared: without refs of presences, and with metas of a
	// key in one order.
	masked string
}

func parseFrame(text string) frame {
	f := frame{text: text, masked: text}
	var v any
	if json.Unmarshal([]byte(text), &v) != nil {
		return f
	}
	switch v := v.(type) {
	case []any:
		if len(v) < 5 {
			return f
		}
		f.ref, f.payload = v[1], v[4]
		f.topic, _ = v[2].(string)
		f.event, _ = v[3].(string)
	case map[string]any:
		f.ref, f.payload = v["ref"], v["payload"]
		f.topic, _ = v["topic"].(string)
		f.event, _ = v["event"].(string)
	}
	f.masked = canonical(v)
	return f
}

// canonical is a JSON value as text that is equal for what counts as equal.
func canonical(v any) string {
	text, err := json.Marshal(mask(v))
	if err != nil {
		panic(err)
	}
	return string(text)
}

func mask(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for key, value := range v {
			out[key] = mask(value)
			if strings.HasPrefix(key, "phx_ref") || key == "token" {
				out[key] = "masked"
			}
			if list, ok := value.([]any); ok && key == "messages" { // of a long poll
				out[key] = maskMessages(list)
			}
		}
		if metas, ok := out["metas"].([]any); ok {
			slices.SortFunc(metas, func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = mask(v[i])
		}
		return out
	case float64:
		return v + 0 // -0 is 0
	}
	return v
}

// maskMessages reads the frames that stand as strings in the answer to a poll.
func maskMessages(list []any) any {
	out := []any{}
	for _, message := range list {
		text, _ := message.(string)
		out = append(out, json.RawMessage(canonicalText(text)))
	}
	return out
}

func canonicalText(text string) string {
	var v any
	if json.Unmarshal([]byte(text), &v) != nil {
		quoted, _ := json.Marshal(text)
		return string(quoted)
	}
	return canonical(v)
}

// A difference is a behaviour in which we differ from the reference on purpose.
type difference struct {
	why string
	// extra: got may be sent where the reference sent nothing; sent is what the
	// client sent in this step.
	extra func(got frame, sent []frame) bool
	// missing: want need not be sent.
	missing func(want frame, sent []frame) bool
	// instead: got may be sent for want.
	instead func(want, got frame, sent []frame) bool
}

func isUnmatched(f frame) bool { return strings.Contains(f.text, `"unmatched topic"`) }

// behindAnEnd reports whether f answers a message that was sent behind one that
// ends its channel.
func behindAnEnd(f frame, sent []frame) bool {
	end := slices.IndexFunc(sent, func(s frame) bool {
		return s.topic == f.topic && slices.Contains([]string{"phx_leave", "crash", "exit", "stop", "stop_shutdown", "stop_shutdown_tuple", "stop_other", "stop_reply"}, s.event)
	})
	push := slices.IndexFunc(sent, func(s frame) bool { return s.topic == f.topic && s.ref == f.ref })
	return end >= 0 && push > end
}

// differences are those of channel's documentation.
var differences = []difference{{
	why: "B050: a leave is always answered, also when a join of its topic comes right behind it",
	extra: func(got frame, sent []frame) bool {
		return got.event == "phx_reply" && slices.ContainsFunc(sent, func(s frame) bool {
			return s.event == "phx_leave" && s.topic == got.topic && s.ref == got.ref
		})
	},
}, {
	why:     "a push right behind the end of its channel gets nothing or unmatched topic: there, too, one or the other",
	extra:   func(got frame, sent []frame) bool { return isUnmatched(got) && behindAnEnd(got, sent) },
	missing: func(want frame, sent []frame) bool { return isUnmatched(want) && behindAnEnd(want, sent) },
}, {
	why: "JSON: what a client sent is passed on as it came, so of two equal keys the last counts, not the first",
	instead: func(want, got frame, sent []frame) bool {
		return slices.ContainsFunc(sent, func(s frame) bool {
			return s.ref == got.ref && s.ref == want.ref && hasTwice(s.text) && want.event == got.event && want.topic == got.topic
		})
	},
}, {
	why: "a topic has at most 255 bytes",
	instead: func(want, got frame, sent []frame) bool {
		return len(want.topic) > 255 && got.topic == want.topic
	},
	missing: func(want frame, sent []frame) bool { return len(want.topic) > 255 },
}, {
	why: "B092: silence ends with 1002 and bad UTF-8 with 1007, so that clients come back and know why",
	instead: func(want, got frame, sent []frame) bool {
		return want.text == "closed 1000" && got.text == "closed 1002" || want.text == "closed 1006" && got.text == "closed 1007"
	},
}, {
	why: "B011: 400 with a reason that names the header, in words of our own",
	instead: func(want, got frame, sent []frame) bool {
		return strings.HasPrefix(want.text, "refused: 400") && strings.HasPrefix(got.text, "refused: 400")
	},
}, {
	why: "B108: a session that is to be sent bytes ends, so that its client begins another; there its polls fail with 500",
	instead: func(want, got frame, sent []frame) bool {
		isPoll := slices.ContainsFunc(sent, func(s frame) bool { return s.event == http.MethodGet })
		return isPoll && want.masked == "HTTP 500" && strings.HasPrefix(got.masked, "HTTP 200") && strings.Contains(got.masked, `"status":410`)
	},
}}

// hasTwice reports whether an object in the text names a key twice.
func hasTwice(text string) bool {
	decoder := json.NewDecoder(strings.NewReader(text))
	type level struct {
		keys   map[string]bool
		object bool
		isKey  bool
	}
	var stack []level
	for {
		token, err := decoder.Token()
		if err != nil {
			return false
		}
		if delim, ok := token.(json.Delim); ok && (delim == '}' || delim == ']') {
			stack = stack[:len(stack)-1]
		} else {
			if n := len(stack) - 1; n >= 0 && stack[n].object {
				stack[n].isKey = !stack[n].isKey
				if key, ok := token.(string); ok && stack[n].isKey {
					if stack[n].keys[key] {
						return true
					}
					stack[n].keys[key] = true
				}
			}
			if ok {
				stack = append(stack, level{keys: map[string]bool{}, object: delim == '{'})
			}
		}
	}
}
