package channel

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRouteMatching(t *testing.T) {
	proves(t, "B020")
	newChannel := func() Channel { return script{} }
	h, err := NewHandler(Handler{Routes: []Route{
		{Pattern: "room:lobby", New: newChannel},
		{Pattern: "room:*", New: newChannel},
		{Pattern: "room:special", New: newChannel}, // never reached
		{Pattern: "exact", New: newChannel},
	}})
	require.NoError(t, err)
	for topic, pattern := range map[string]string{
		"room:lobby":   "room:lobby",
		"room:special": "room:*",
		"room:":        "room:*",
		"room:*":       "room:*",
		"room":         "",
		"exact":        "exact",
		"exact:1":      "",
		"exac":         "",
		"":             "",
	} {
		route := h.route(topic)
		if pattern == "" {
			require.Nil(t, route, topic)
			continue
		}
		require.NotNil(t, route, topic)
		require.Equal(t, pattern, route.Pattern, topic)
	}
}

func TestNewHandlerNamesEveryFault(t *testing.T) {
	proves(t, "B020")
	newChannel := func() Channel { return script{} }
	_, err := NewHandler(Handler{Routes: []Route{
		{Pattern: "a:*:b", New: newChannel},
		{Pattern: "**", New: newChannel},
		{Pattern: "", New: newChannel},
		{Pattern: "fine", New: newChannel},
		{Pattern: "fine", New: newChannel},
		{Pattern: "none"},
	}})
	require.EqualError(t, err, `channel: route 0 ("a:*:b"): * may stand only at the end of a pattern
channel: route 1 ("**"): * may stand only at the end of a pattern
channel: route 2 (""): the pattern is empty
channel: route 4 ("fine"): never reached: route 3 has the same pattern
channel: route 5 ("none"): New is nil`)
}

func TestNewHandlerCopiesTheRoutes(t *testing.T) {
	routes := []Route{{Pattern: "a", New: func() Channel { return script{} }}}
	h, err := NewHandler(Handler{Routes: routes})
	require.NoError(t, err)
	routes[0].Pattern = "b"
	require.NotNil(t, h.route("a"))
}
