package channel

import (
	"cmp"
	"slices"
)

// A ConnectionInfo is what can be told of a connection while it lives.
type ConnectionInfo struct {
	Conn      *Conn
	ID        string // see Conn.SetID
	Handler   string // its name
	Transport string
	Vsn       string
	Remote    string // the client's address
	Channels  int    // as many as Conn.Channels lists
}

// Connections lists the connections there are now, by id, transport, address,
// and then in no order. It costs time and memory for every connection: it is for
// operators, not for deciding.
func (e *Endpoint) Connections() []ConnectionInfo {
	e.mu.Lock()
	conns := make([]*Conn, 0, len(e.conns))
	for c := range e.conns {
		conns = append(conns, c)
	}
	e.mu.Unlock()
	list := make([]ConnectionInfo, len(conns))
	for i, c := range conns {
		list[i] = c.describe()
	}
	slices.SortFunc(list, func(a, b ConnectionInfo) int {
		return cmp.Or(cmp.Compare(a.ID, b.ID), cmp.Compare(a.Transport, b.Transport), cmp.Compare(a.Remote, b.Remote))
	})
	return list
}

func (c *Conn) describe() ConnectionInfo {
	c.mu.Lock()
	defer c.mu.Unlock()
	return ConnectionInfo{
		Conn: c, ID: c.id, Handler: c.handler.Name, Transport: c.transport, Vsn: c.vsn,
		Remote: addrString(c.remote), Channels: len(c.members),
	}
}

// A ChannelInfo is what can be told of a channel while it lives.
type ChannelInfo struct {
	// Socket is the channel's. It may be used like any other.
	Socket  *Socket
	Topic   string
	JoinRef string
	// Status is "joining" before Join has answered, "joined", or "leaving" when the
	// client is out but Terminate has not returned, or a callback runs on although its
	// topic was given to another channel.
	Status string
}

// Channels lists the channels of the connection, by topic and then in the order
// of their joins: of a topic that is joined again before its old channel is
// gone there are two.
func (c *Conn) Channels() []ChannelInfo {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := make([]ChannelInfo, len(c.members))
	for i, m := range c.members { // in the order of their joins
		list[i] = ChannelInfo{Socket: &m.socket, Topic: m.topic, JoinRef: m.ask.JoinRef.String(), Status: m.status()}
	}
	slices.SortStableFunc(list, func(a, b ChannelInfo) int { return cmp.Compare(a.Topic, b.Topic) })
	return list
}

func (m *member) status() string {
	switch m.state.Load() {
	case stateJoining:
		return "joining"
	case stateJoined:
		return "joined"
	}
	return "leaving"
}
