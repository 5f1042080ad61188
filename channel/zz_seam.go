package channel

import (
	"context"
	"log/slog"
)

type Config struct {
	Bus    Bus
	Logger *slog.Logger
}
type Endpoint struct{}

func New(cfg Config) (*Endpoint, error)                                   { panic("wip") }
func (e *Endpoint) Broadcast(topic, event string, payload any) error      { panic("wip") }
func (e *Endpoint) LocalBroadcast(topic, event string, payload any) error { panic("wip") }
func (e *Endpoint) BroadcastFrom(from *Subscription, topic, event string, payload any) error {
	panic("wip")
}
func (e *Endpoint) DirectBroadcast(replica, topic, event string, payload any) error { panic("wip") }
func (e *Endpoint) Subscribe(topic string, handle func(Broadcast)) (*Subscription, error) {
	panic("wip")
}
func (e *Endpoint) Drain(ctx context.Context) error { panic("wip") }
func (e *Endpoint) Close(ctx context.Context) error { panic("wip") }
func (e *Endpoint) Connect(ctx context.Context, h *Handler, info ConnectInfo) (*Conn, error) {
	panic("wip")
}

type Broadcast struct {
	Topic, Event string
	Payload      Payload
}
type Subscription struct{}

func (s *Subscription) Unsubscribe() { panic("wip") }

type Params map[string]any

type Conn struct {
	Params Params
	Info   ConnectInfo
}

func (c *Conn) Assign(key string, value any)                 { panic("wip") }
func (c *Conn) Value(key string) any                         { panic("wip") }
func (c *Conn) SetID(id string)                              { panic("wip") }
func (c *Conn) ID() string                                   { panic("wip") }
func (c *Conn) Endpoint() *Endpoint                          { panic("wip") }
func (c *Conn) Start(link Link)                              { panic("wip") }
func (c *Conn) Receive(binary bool, data []byte) *CloseError { panic("wip") }
func (c *Conn) Closed(reason Reason)                         { panic("wip") }

type Socket struct{}
type ReplyRef struct{}

func (r ReplyRef) Reply(status string, response any) error      { panic("wip") }
func (s *Socket) Topic() string                                 { panic("wip") }
func (s *Socket) JoinRef() string                               { panic("wip") }
func (s *Socket) Conn() *Conn                                   { panic("wip") }
func (s *Socket) Endpoint() *Endpoint                           { panic("wip") }
func (s *Socket) Value(key string) any                          { panic("wip") }
func (s *Socket) Push(event string, payload any) error          { panic("wip") }
func (s *Socket) Broadcast(event string, payload any) error     { panic("wip") }
func (s *Socket) BroadcastFrom(event string, payload any) error { panic("wip") }
func (s *Socket) Ref() (ReplyRef, bool)                         { panic("wip") }
func (s *Socket) Send(msg any) error                            { panic("wip") }
func (s *Socket) Subscribe(topic string) error                  { panic("wip") }
func (s *Socket) Unsubscribe(topic string)                      { panic("wip") }
func (s *Socket) Track(key string, meta any) (ref string, err error) {
	panic("wip")
}
func (s *Socket) Untrack(key string) error { panic("wip") }
func (s *Socket) PushPresenceState() error { panic("wip") }
