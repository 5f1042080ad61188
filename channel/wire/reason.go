package wire

import "fmt"

// A Reason says why a channel ended. One with Err is a failure: the client is
// sent phx_error and rejoins. Any other is a planned end: the client is sent
// phx_close and stays out, or, where the connection ends, nothing.
type Reason struct {
	Name string
	Err  error
}

// The reasons that package channel and transports give. Channels may make their own.
var (
	ReasonNormal       = Reason{Name: "normal"}         // Stop(ReasonNormal)
	ReasonShutdown     = Reason{Name: "shutdown"}       // Stop(ReasonShutdown)
	ReasonLeft         = Reason{Name: "left"}           // the client left
	ReasonDuplicate    = Reason{Name: "duplicate join"} // the client joined the topic again
	ReasonClosed       = Reason{Name: "closed"}         // the connection ended
	ReasonInactive     = Reason{Name: "inactive"}       // the client stopped polling
	ReasonDisconnected = Reason{Name: "disconnected"}   // disconnect by id
	ReasonDraining     = Reason{Name: "draining"}       // the replica drains
)

// Crashed is the reason of a channel that failed.
func Crashed(err error) Reason { return Reason{Name: "crashed", Err: err} }

// Planned reports whether the channel ended normally, so the client should not rejoin.
func (r Reason) Planned() bool { return r.Err == nil }

func (r Reason) String() string {
	if r.Err != nil {
		return fmt.Sprintf("%s: %v", r.Name, r.Err)
	}
	return r.Name
}
