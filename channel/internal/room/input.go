package room

import (
	"time"

	"github.com/rollcall-go/rollcall/presence"
)

// Config is what a machine is made for.
type Config struct {
	// StateTimeout is how long a state waits for the topic to be complete.
	StateTimeout time.Duration
	// Window is how long diffs are merged. 0: see window.go.
	Window time.Duration
	// Fetches makes diffs and lists go through FetchDiff and FetchList before they are
	// sent. It has no effect with Counts.
	Fetches bool
	// Counts shows how many are present, in place of the presences.
	Counts bool
}

// InputKind says what happened.
type InputKind uint8

const (
	// WatchWanted: a channel tracks in the topic, or follows it.
	WatchWanted InputKind = iota
	// WatchFailed: the tracker refused Watch.
	WatchFailed
	// Joined: Member is in the room, and the answer to its join has gone.
	Joined
	// Settled: Member has handled what its Join sent to itself.
	Settled
	// StateWanted: Member asks for the state. Tracks is set if it has, or had,
	// presences. The topic is watched.
	StateWanted
	// Left: Member is not in the room any more.
	Left
	// Told: the tracker told Events, in order.
	Told
	// DiffFetched: Diff is what Fetch made of that of FetchDiff.
	DiffFetched
	// ListFetched: List is what Fetch made of that of FetchList. OK is set unless Fetch
	// failed and List is what clients see instead.
	ListFetched
	// Sent: SendDiff or SendCounts is carried out, which took Took.
	Sent
	// TimerFired: the timer that was set last has fired.
	TimerFired
	// Ended: the last member is gone.
	Ended
)

// Input is one thing that happened to a room.
type Input struct {
	Kind   InputKind
	Member Member
	Tracks bool
	OK     bool
	Events []presence.Event
	Diff   presence.Diff
	List   *presence.List
	Took   time.Duration
}

// ActionKind says what is to be done.
type ActionKind uint8

const (
	// Watch: watch the topic; where that fails, WatchFailed follows.
	Watch ActionKind = iota
	// Refresh: ask the watch for the state, once more.
	Refresh
	// StopWatch: end the watch.
	StopWatch
	// FetchDiff: let Fetch see Diff. DiffFetched follows.
	FetchDiff
	// FetchList: let Fetch see List. ListFetched follows.
	FetchList
	// SendDiff: send Diff to the members To. Sent follows.
	SendDiff
	// SendCounts: send Counts to the members To. Sent follows.
	SendCounts
	// SendHeld: send Diff, which was held, to the one member To.
	SendHeld
	// SendState: answer the members To, which asked for the state, with List.
	SendState
	// PushCounts: answer the members To, which asked for the state, with Counts.
	PushCounts
	// SetTimer: let the timer fire At, and not when it was to before.
	SetTimer
	// ClearTimer: the timer is not to fire.
	ClearTimer
)

// Action is one thing that is to be done.
type Action struct {
	Kind   ActionKind
	To     []Member // lent until the next input
	Diff   presence.Diff
	List   *presence.List
	Counts Counts
	At     time.Time
}

// Counts is how many are present: so many users, in so many tabs.
type Counts struct{ Keys, Sessions int }
