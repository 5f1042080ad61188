package server_test

import (
	"fmt"
	"slices"
)

// presences is what phoenix.js's Presence of one client holds: per topic, key
// and ref the meta without its refs, as text.
type presences map[string]map[string]map[string]string

// apply applies a presence frame as phoenix.js does, and tells whether it was
// one. A diff before the state, or one that is not complete, is a fault.
func (p presences) apply(f frame) (applied bool, fault string) {
	switch f.event {
	case "presence_state":
		p[f.topic] = map[string]map[string]string{}
		p.join(f.topic, f.payload)
		return true, ""
	case "presence_diff":
		diff, ok := f.payload.(map[string]any)
		if !ok || len(diff) != 2 || diff["joins"] == nil || diff["leaves"] == nil {
			return true, "not joins and leaves: " + f.text
		}
		if p[f.topic] == nil {
			return true, "a diff before the state: " + f.text
		}
		p.join(f.topic, diff["joins"])
		eachMeta(diff["leaves"], func(key, ref, _ string) {
			delete(p[f.topic][key], ref)
			if len(p[f.topic][key]) == 0 {
				delete(p[f.topic], key)
			}
		})
		return true, ""
	}
	return false, ""
}

func (p presences) join(topic string, list any) {
	eachMeta(list, func(key, ref, rest string) {
		if p[topic][key] == nil {
			p[topic][key] = map[string]string{}
		}
		p[topic][key][ref] = rest
	})
}

func eachMeta(list any, f func(key, ref, rest string)) {
	for key, entry := range list.(map[string]any) {
		for _, meta := range entry.(map[string]any)["metas"].([]any) {
			m := meta.(map[string]any)
			rest := map[string]any{}
			for name, value := range m {
				switch name {
				case "phx_ref":
				case "phx_ref_prev":
					rest[name] = "ref"
				default:
					rest[name] = value
				}
			}
			f(key, fmt.Sprint(m["phx_ref"]), fmt.Sprint(rest))
		}
	}
}

// flat is what is held without refs, to compare with what another client holds.
func (p presences) flat() map[string]map[string][]string {
	out := map[string]map[string][]string{}
	for topic, keys := range p {
		out[topic] = map[string][]string{}
		for key, metas := range keys {
			for _, rest := range metas {
				out[topic][key] = append(out[topic][key], rest)
			}
			slices.Sort(out[topic][key])
		}
	}
	return out
}
