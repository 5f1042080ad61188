package load

import (
	"bytes"
	"errors"
	"fmt"
)

// frame is a text frame of protocol V2. It points into the buffer it was cut
// from.
type frame struct {
	joinRef, ref []byte // nil for null
	topic, event []byte // as they are in the text, escapes included
	payload      []byte // JSON
}

var errFrame = errors.New("not a frame of protocol V2")

// parseFrame cuts [join_ref, ref, topic, event, payload] apart, as the server
// writes it. It does not look into the payload, which ends where the frame does.
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

// cutName cuts a string or null, and the comma behind it, from the front.
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

// The refs of what clients send say what a reply is to.
const (
	refJoin      = "j"
	refLeave     = "l"
	refPublish   = "p"
	refHeartbeat = "h"
)

const heartbeatFrame = `[null,"` + refHeartbeat + `","phoenix","heartbeat",{}]`

// joinFrame joins as a user of a topic; n is what diffs will show of this join.
// All clients have the same join_ref, so that what they are sent is the same.
func joinFrame(topic string, user int, n int64) []byte {
	return fmt.Appendf(nil, `["1","`+refJoin+`",%q,"phx_join",{"key":%q,"meta":{"n":%d}}]`, topic, userKey(user), n)
}

func leaveFrame(topic string) []byte {
	return fmt.Appendf(nil, `["1","`+refLeave+`",%q,"phx_leave",{}]`, topic)
}

// publishEvent is the event of broadcasts.
const publishEvent = "load"

// publishFrame appends a broadcast of publish seq with a payload of size bytes.
func publishFrame(b []byte, topic string, seq int64, size int) []byte {
	b = fmt.Appendf(b, `["1","`+refPublish+`",%q,"broadcast",{"event":"`+publishEvent+`","payload":`, topic)
	start := len(b)
	b = fmt.Appendf(b, `{"s":%d,"p":"`, seq)
	for len(b)-start < size-2 {
		b = append(b, 'x')
	}
	return append(b, `"}}]`...)
}

// minPayload is the size of the smallest payload that has room for any number.
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

// cutNumber reads up to 18 digits from the front.
func cutNumber(data []byte) (n int64, rest []byte) {
	i := 0
	for i < len(data) && i < 18 && data[i] >= '0' && data[i] <= '9' {
		n = n*10 + int64(data[i]-'0')
		i++
	}
	return n, data[i:]
}
