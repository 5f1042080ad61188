package channeltest

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/rollcall-go/rollcall/channel"
	"github.com/rollcall-go/rollcall/channel/wire"
)

// message is what one frame to the client says.
type message struct {
	joinRef, ref, topic, event, status string
	payload                            channel.Payload
}

func (m message) isReply() bool { return m.event == "phx_reply" }

func (m message) String() string {
	content := string(m.payload.JSON())
	if m.payload.IsBinary() {
		content = fmt.Sprintf("the bytes %x", m.payload.Bytes())
	}
	switch {
	case m.isReply():
		return fmt.Sprintf("reply %q to %s on %q: %s", m.status, m.ref, m.topic, content)
	case m.joinRef == "":
		return fmt.Sprintf("broadcast %q on %q: %s", m.event, m.topic, content)
	}
	return fmt.Sprintf("push %q on %q: %s", m.event, m.topic, content)
}

// encode makes the frame of a client.
func encode(joinRef, ref, topic, event string, payload any) (binary bool, data []byte, err error) {
	p, err := wire.NewPayload(payload)
	if err != nil {
		return false, nil, err
	}
	if !p.IsBinary() {
		data, err = json.Marshal([]any{joinRef, ref, topic, event, p})
		return false, data, err
	}
	data = []byte{0}
	names := []string{joinRef, ref, topic, event}
	for _, name := range names {
		if len(name) > 255 {
			return true, nil, fmt.Errorf("%d bytes in a binary frame, which takes 255: %.20q", len(name), name)
		}
		data = append(data, byte(len(name)))
	}
	for _, name := range names {
		data = append(data, name...)
	}
	return true, append(data, p.Bytes()...), nil
}

// decode reads a frame of the server.
func decode(f *wire.Frame) (m message, err error) {
	if f.Binary {
		return decodeBinary(f.Data)
	}
	var parts []json.RawMessage
	if err := json.Unmarshal(f.Data, &parts); err != nil || len(parts) != 5 {
		return m, fmt.Errorf("no array of five: %w", err)
	}
	for i, field := range []*string{&m.joinRef, &m.ref, &m.topic, &m.event} {
		if err := json.Unmarshal(parts[i], field); err != nil { // null leaves it empty
			return m, err
		}
	}
	body := parts[4]
	if m.isReply() {
		var reply struct {
			Status   string
			Response json.RawMessage
		}
		if err := json.Unmarshal(body, &reply); err != nil {
			return m, err
		}
		m.status, body = reply.Status, reply.Response
	}
	m.payload, err = wire.NewPayload(body)
	return m, err
}

func decodeBinary(data []byte) (m message, err error) {
	if len(data) == 0 || data[0] > 2 {
		return m, errors.New("unknown kind")
	}
	fields := [][]*string{
		{&m.joinRef, &m.topic, &m.event},
		{&m.joinRef, &m.ref, &m.topic, &m.status},
		{&m.topic, &m.event},
	}[data[0]]
	if data[0] == 1 {
		m.event = "phx_reply"
	}
	if len(data) < 1+len(fields) {
		return m, errors.New("cut short")
	}
	sizes, rest := data[1:1+len(fields)], data[1+len(fields):]
	for i, field := range fields {
		n := int(sizes[i])
		if n > len(rest) {
			return m, errors.New("cut short")
		}
		*field, rest = string(rest[:n]), rest[n:]
	}
	m.payload, err = wire.NewPayload(channel.Binary(rest))
	return m, err
}
