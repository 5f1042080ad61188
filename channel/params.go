package channel

import (
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
