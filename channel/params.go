package channel

import (
	"bytes"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
)

// Params are the parameters a client connected with, decoded as Plug does:
// "a=1" is a string, "a[b]=1" a nested map[string]any, "a[]=1" a []any. Of two
// values for one name the last counts.
type Params map[string]any

// maxParamDepth bounds how deep parameters nest; deeper ones are left out.
const maxParamDepth = 16

// String is the parameter where that is a string, else "".
func (p Params) String(name string) string {
	s, _ := p[name].(string)
	return s
}

// decodeParams is deterministic: where keys disagree about the shape of a name
// (a=1 and a[b]=2) the last in the order of the keys wins.
func decodeParams(values url.Values) Params {
	keys := make([]string, 0, len(values))
	for key := range values {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	params := Params{}
	for _, key := range keys {
		path, list := splitParam(key)
		if len(path) == 0 || len(path) > maxParamDepth || len(values[key]) == 0 {
			continue
		}
		m := map[string]any(params)
		for _, name := range path[:len(path)-1] {
			next, ok := m[name].(map[string]any)
			if !ok {
				next = map[string]any{}
				m[name] = next
			}
			m = next
		}
		name := path[len(path)-1]
		if !list {
			m[name] = values[key][len(values[key])-1]
			continue
		}
		all := []any{}
		for _, v := range values[key] {
			all = append(all, v)
		}
		m[name] = all
	}
	return params
}

// splitParam splits "a[b][c]" into a, b, c; list tells of a "[]" at the end. A
// key in any other form is one name.
func splitParam(key string) (path []string, list bool) {
	head, rest, found := strings.Cut(key, "[")
	if !found || head == "" || !strings.HasSuffix(rest, "]") {
		return []string{key}, false
	}
	names := strings.Split(strings.TrimSuffix(rest, "]"), "][")
	if last := len(names) - 1; names[last] == "" {
		names, list = names[:last], true
	}
	if slices.Contains(names, "") {
		return []string{key}, false
	}
	return append([]string{head}, names...), list
}

// filtered stands in a log for what it must not show.
const filtered = "[FILTERED]"

// A ParamFilter says which parameters a log may show: of connections, of joins
// and of messages. The zero value hides what is under a key that contains
// "password", "token", "secret", "apikey" or "api_key", in any case, however deep
// it is nested.
type ParamFilter struct {
	// Hide replaces these words. A list that is empty and not nil hides
	// nothing.
	Hide []string
	// Keep, if it is not nil, hides everything but what is under one of these
	// keys, which must match exactly. What is nested under one is shown too. Hide
	// is ignored then.
	Keep []string
}

var defaultHide = []string{"password", "token", "secret", "apikey", "api_key"}

// Apply returns v with what must not be shown replaced by "[FILTERED]". v is a
// value as encoding/json decodes it into an any, or Params; any other is shown
// through its JSON. It is not changed.
func (f ParamFilter) Apply(v any) any {
	if f.Keep != nil {
		return f.keep(v)
	}
	return hide(v, f.words())
}

// words are those that hide, in lower case.
func (f ParamFilter) words() []string {
	if f.Hide == nil {
		return defaultHide
	}
	lower := make([]string, len(f.Hide))
	for i, word := range f.Hide {
		lower[i] = strings.ToLower(word)
	}
	return lower
}

// hidesNothingOf reports whether all of a JSON text may be shown, as far as can be
// told without parsing it: where one of the words is nowhere in it, and none can
// be there by escapes. It is so for nearly all that is logged.
func (f ParamFilter) hidesNothingOf(text []byte) bool {
	if f.Keep != nil || bytes.IndexByte(text, '\\') >= 0 {
		return false
	}
	lower := bytes.ToLower(text)
	return !slices.ContainsFunc(f.words(), func(word string) bool { return bytes.Contains(lower, []byte(word)) })
}

// hide hides what is under keys that contain one of the words.
func hide(v any, words []string) any {
	switch v := jsonValue(v).(type) {
	case map[string]any:
		shown := make(map[string]any, len(v))
		for key, value := range v {
			if lower := strings.ToLower(key); slices.ContainsFunc(words, func(word string) bool { return strings.Contains(lower, word) }) {
				shown[key] = filtered
			} else {
				shown[key] = hide(value, words)
			}
		}
		return shown
	case []any:
		shown := make([]any, len(v))
		for i, value := range v {
			shown[i] = hide(value, words)
		}
		return shown
	default:
		return v
	}
}

func (f ParamFilter) keep(v any) any {
	switch v := jsonValue(v).(type) {
	case map[string]any:
		shown := make(map[string]any, len(v))
		for key, value := range v {
			if slices.Contains(f.Keep, key) {
				shown[key] = value
			} else {
				shown[key] = f.keep(value)
			}
		}
		return shown
	case []any:
		shown := make([]any, len(v))
		for i, value := range v {
			shown[i] = f.keep(value)
		}
		return shown
	default:
		return filtered
	}
}

// jsonValue is v as encoding/json decodes it, where it is anything else.
func jsonValue(v any) any {
	switch v := v.(type) {
	case nil, string, bool, float64, map[string]any, []any:
		return v
	case Params:
		return map[string]any(v)
	}
	text, err := json.Marshal(v)
	if err != nil {
		return filtered
	}
	var decoded any
	if json.Unmarshal(text, &decoded) != nil {
		return filtered
	}
	return decoded
}
