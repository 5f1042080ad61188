package channeltest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"testing"

	"github.com/rollcall-go/rollcall/channel"
	"github.com/rollcall-go/rollcall/channel/wire"
)

// wanted is a message that is awaited, or refuted.
type wanted struct {
	what    string // in words
	shape   func(m message) bool
	payload payloadMatcher
}

func (w wanted) is(m message) bool { return w.shape(m) && w.payload.match(m.payload) }

func (w wanted) String() string {
	if w.payload.text == "" {
		return w.what
	}
	return w.what + " with " + w.payload.text
}

// payloadMatcher is what is wanted of a payload; the text is empty when that is
// nothing.
type payloadMatcher struct {
	text  string
	match func(got channel.Payload) bool
}

// Where matches payloads that decode into a T for which match is true.
func Where[T any](match func(T) bool) func(channel.Payload) bool {
	return func(got channel.Payload) bool {
		var v T
		return got.Decode(&v) == nil && match(v)
	}
}

// matcher makes of what is wanted what tells whether a payload is that; see the
// package's documentation. It fails the test when nothing could be.
func matcher(t testing.TB, want any) payloadMatcher {
	t.Helper()
	if want == nil {
		return payloadMatcher{"", func(channel.Payload) bool { return true }}
	}
	if match, ok := want.(func(channel.Payload) bool); ok {
		return payloadMatcher{"what the function wants", match}
	}
	p, err := wire.NewPayload(want)
	if err != nil {
		t.Fatalf("channeltest: what is wanted has no JSON: %v", err)
	}
	if p.IsBinary() {
		return payloadMatcher{
			fmt.Sprintf("the bytes %x", p.Bytes()),
			func(got channel.Payload) bool { return got.IsBinary() && bytes.Equal(p.Bytes(), got.Bytes()) },
		}
	}
	var value any
	if err := json.Unmarshal(p.JSON(), &value); err != nil {
		t.Fatalf("channeltest: what is wanted has no JSON: %v", err)
	}
	return payloadMatcher{string(p.JSON()), func(got channel.Payload) bool {
		var given any
		return !got.IsBinary() && json.Unmarshal(got.JSON(), &given) == nil && contains(given, value)
	}}
}

func contains(given, wanted any) bool {
	object, ok := wanted.(map[string]any)
	if !ok {
		return reflect.DeepEqual(given, wanted)
	}
	all, ok := given.(map[string]any)
	for key, value := range object {
		if v, has := all[key]; !has || !contains(v, value) {
			return false
		}
	}
	return ok
}
