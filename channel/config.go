package channel

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"time"

	"github.com/rollcall-go/rollcall/bus"
	"github.com/rollcall-go/rollcall/presence"
)

// NoLimit switches off a limit of [Config] or [Handler] that says it may be.
const NoLimit = -1

// Config is what an [Endpoint] is made of. The zero value of every field is
// usable: an endpoint alone in its process, without presence. MaxChannels, JoinRate,
// MessageRate, MaxJoinsRunning, MaxJoinsWaiting and MaxGraces may be [NoLimit].
type Config struct {
	// Name is this replica's name for DirectBroadcast. Default: the name of
	// Presence, else none.
	Name string
	// Bus leads to the other replicas. Nil: there are none.
	Bus bus.Bus
	// Presence is the tracker behind Socket.Track, presence_state and
	// presence_diff. Nil: there is no presence. It is not closed with the
	// endpoint: close it after.
	Presence *presence.Tracker
	// Logger gets what an operator should know: connections, joins and messages
	// at the levels of [Handler].Log, [Route].LogJoin and [Route].LogHandleIn,
	// except those of topics that begin with "phoenix"; every [Rejection], at most
	// 50 a second after a burst of 200 (what is left out is counted in the next
	// one's not_logged); and faults. Nil: nothing is logged.
	Logger *slog.Logger
	// LogParams says which parameters of clients the log may show. Default: none
	// whose name contains "password", "token" or another word for a secret.
	LogParams ParamFilter
	// Telemetry are told what happens, in their order.
	Telemetry []Telemetry

	// MaxChannels is how many channels one connection may have joined, unless its
	// handler says otherwise; see [Handler]. Default 100.
	MaxChannels int
	// JoinRate and JoinBurst bound the joins of one connection: so many a
	// second, and so many at once after a pause. Default 50 and 100, which lets
	// a client with MaxChannels channels rejoin them all at once.
	JoinRate  float64
	JoinBurst int
	// MessageRate and MessageBurst bound what one client sends: so many messages
	// a second, and so many at once after a pause. One of more than 4 KiB counts
	// once more for every further 4 KiB, so that 10,000 a second are 40 MiB too;
	// pings and the like count as messages. A client over it is closed with
	// CloseTryLater, for it would not read an answer. Default 10,000 and 20,000:
	// more than any page sends, and what one processor decodes in a tenth of the
	// time. It is no bound for what an application does with a message; where
	// one is broadcast to many, choose less.
	MessageRate  float64
	MessageBurst int
	// MessageStart is how many messages at once a client may send that has just
	// connected, instead of MessageBurst, and at most that: or one that is closed
	// for its flood would have as much to flood with whenever it comes back.
	// Default: MessageBurst. A page begins with the joins of its channels, up to
	// MaxChannels, and with what it had to say while it was away.
	MessageStart int
	// MaxJoinsRunning is how many joins of one route run at once, from the call of
	// Join until what it sent to itself is handled; others wait. It limits joins that
	// are blocked: joins that compute are limited to GOMAXPROCS whatever it is
	// (see Many joins at once). Default 256: enough to keep a database busy. A Join
	// that never returns keeps its place: give what it waits for a deadline.
	MaxJoinsRunning int
	// MaxJoinsWaiting is how many joins of one route may wait beyond those that
	// may run, and half of it how many of one topic. Default 20,000. A client over it is
	// answered "overloaded", and phoenix.js asks again 1, 2, 5 and then each 10 s
	// later. Each that waits costs some 2 KiB.
	MaxJoinsWaiting int
	// JoinWait is how long a join waits for its turn at most before its client is
	// answered "overloaded". Default 5 s. It should be well below the time after
	// which clients give up (phoenix.js: 10 s), or joins run that nobody waits for.
	JoinWait time.Duration
	// MailboxSize and MailboxBytes bound what waits for one channel: pieces of
	// mail (default 4096), and the bytes of the client's messages among them
	// (default 4 MiB). A channel over them ends as if it had crashed. Plain
	// subscribers have mailboxes of MailboxSize too, and lose broadcasts over it.
	MailboxSize  int
	MailboxBytes int
	// DuplicateTimeout is how long a duplicate join waits for the old channel's
	// callback to return before the new channel begins beside it. Default 5 s.
	DuplicateTimeout time.Duration

	// StateTimeout is how long presence_state waits for the topic to be
	// complete. Default 500 ms.
	StateTimeout time.Duration
	// FetchTimeout is how long a call of Route.Fetch may take, the wait for one
	// of MaxFetches included, before clients do without. Default 2 s.
	FetchTimeout time.Duration
	// MaxFetches is how many calls of Route.Fetch run at once. Default 64.
	MaxFetches int

	// MaxGraces is how many lost channels may have presences in their grace
	// ([Route].LeaveGrace). Those beyond it leave at once. Default 10,000.
	MaxGraces int

	// DrainBatch and DrainInterval: Drain closes so many connections (default
	// 1000), then waits about so long (default 500 ms, and up to half of it more
	// or less), so that clients do not all come back at once.
	DrainBatch    int
	DrainInterval time.Duration
}

// withDefaults fills in what is zero and names every fault.
func (c Config) withDefaults() (Config, error) {
	var errs []error
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Name == "" && c.Presence != nil {
		c.Name = c.Presence.Name()
	}
	setLimit(&errs, "MaxChannels", &c.MaxChannels, 100)
	setRate(&errs, "JoinRate", &c.JoinRate, 50)
	setDefault(&errs, "JoinBurst", &c.JoinBurst, 100)
	setRate(&errs, "MessageRate", &c.MessageRate, 10_000)
	setDefault(&errs, "MessageBurst", &c.MessageBurst, 20_000)
	setDefault(&errs, "MessageStart", &c.MessageStart, c.MessageBurst)
	c.MessageStart = min(c.MessageStart, c.MessageBurst)
	setLimit(&errs, "MaxJoinsRunning", &c.MaxJoinsRunning, 256)
	setLimit(&errs, "MaxJoinsWaiting", &c.MaxJoinsWaiting, 20_000)
	setDefault(&errs, "JoinWait", &c.JoinWait, 5*time.Second)
	setDefault(&errs, "MailboxSize", &c.MailboxSize, 4096)
	setDefault(&errs, "MailboxBytes", &c.MailboxBytes, 4<<20)
	setDefault(&errs, "DuplicateTimeout", &c.DuplicateTimeout, 5*time.Second)
	setDefault(&errs, "StateTimeout", &c.StateTimeout, 500*time.Millisecond)
	setDefault(&errs, "FetchTimeout", &c.FetchTimeout, 2*time.Second)
	setDefault(&errs, "MaxFetches", &c.MaxFetches, 64)
	setLimit(&errs, "MaxGraces", &c.MaxGraces, 10_000)
	setDefault(&errs, "DrainBatch", &c.DrainBatch, 1000)
	setDefault(&errs, "DrainInterval", &c.DrainInterval, 500*time.Millisecond)
	return c, errors.Join(errs...)
}

// setLimit is setDefault for a limit that may be switched off.
func setLimit(errs *[]error, name string, field *int, value int) {
	if *field == NoLimit {
		*field = math.MaxInt32
	}
	setDefault(errs, name, field, value)
}

// setRate is setLimit for a rate.
func setRate(errs *[]error, name string, field *float64, value float64) {
	if *field == NoLimit {
		*field = math.Inf(1)
	}
	setDefault(errs, name, field, value)
}

func setDefault[T int | float64 | time.Duration](errs *[]error, name string, field *T, value T) {
	switch {
	case *field < 0 || *field != *field:
		*errs = append(*errs, fmt.Errorf("channel: Config.%s is %v, must not be negative", name, *field))
	case *field == 0:
		*field = value
	}
}
