package load

import (
	"bytes"
	"errors"
	"fmt"
)

// frame is a text frame of protocol V2. It points into the buffer it was parsed
// from.
type frame struct {
	joinRef, ref []byte // nil for null
	topic, event []byte // raw, with escapes
	payload      []byte // JSON
}

var errFrame = errors.New("not a frame of protocol V2")

// parseFrame splits [join_ref, ref, topic, event, payload] as the server writes it.
// It does not parse the payload.
func parseFrame(data []byte) (f frame, err error) {
	if len(data) < 2 || data[0] != '[' || data[len(data)-1] != ']' {
		return frame{}, errFrame
	}
	rest := data[1 : len(data)-1]
	for _, part := range []*[]byte{&f.joinRef, &f.ref, &f.topic, &f.event} {
		if *part, rest, err = cutName(rest); err != nil {
			return frame{}, err
		}
	}
	if f.topic == nil || f.event == nil || len(rest) == 0 {
		return frame{}, errFrame
	}
	f.payload = rest
	return f, nil
}

// cutName splits off a leading string or null and its comma.
func cutName(data []byte) (name, rest []byte, err error) {
	if after, ok := bytes.CutPrefix(data, []byte("null,")); ok {
		return nil, after, nil
	}
	s := scanner{data: data}
	name, err = s.text()
	if err != nil || !s.accept(',') {
		return nil, nil, errFrame
	}
	return name, data[s.at:], nil
}

// The refs of messages that clients send, by which replies are told apart.
const (
	refJoin      = "j"
	refLeave     = "l"
	refPublish   = "p"
	refHeartbeat = "h"
)

const heartbeatFrame = `[null,"` + refHeartbeat + `","phoenix","heartbeat",{}]`

// joinFrame returns a join of topic as a user. n identifies this join in diffs. All
// clients use the same join_ref, so that they receive the same bytes.
func joinFrame(topic string, user int, n int64) []byte {
	return fmt.Appendf(nil, `["1","`+refJoin+`",%q,"phx_join",{"key":%q,"meta":{"n":%d}}]`, topic, userKey(user), n)
}

func leaveFrame(topic string) []byte {
	return fmt.Appendf(nil, `["1","`+refLeave+`",%q,"phx_leave",{}]`, topic)
}

// publishEvent is the event name of broadcasts.
const publishEvent = "load"

// publishFrame appends the broadcast of publish seq with a payload of size bytes.
func publishFrame(b []byte, topic string, seq int64, size int) []byte {
	b = fmt.Appendf(b, `["1","`+refPublish+`",%q,"broadcast",{"event":"`+publishEvent+`","payload":`, topic)
	start := len(b)
	b = fmt.Appendf(b, `{"s":%d,"p":"`, seq)
	for len(b)-start < size-2 {
		b = append(b, 'x')
	}
	return append(b, `"}}]`...)
}

// minPayload is the smallest payload size with room for any number.
const minPayload = 32

// publishSeq reads the number of a publish from its payload.
func publishSeq(payload []byte) (int64, error) {
	digits, ok := bytes.CutPrefix(payload, []byte(`{"s":`))
	if ok {
		if n, rest := cutNumber(digits); len(rest) < len(digits) {
			return n, nil
		}
	}
	return 0, errors.New("not the payload of a publish")
}

// cutNumber splits off up to 18 leading digits.
func cutNumber(data []byte) (n int64, rest []byte) {
	i := 0
	for i < len(data) && i < 18 && data[i] >= '0' && data[i] <= '9' {
		n = n*10 + int64(data[i]-'0')
		i++
	}
	return n, data[i:]
}
