// Package room decides what the clients of one topic are told of its presences, and
// when. It is a pure state machine: [Machine] takes one [Input] at a time, with the
// time, and returns [Action]s, to be carried out in order. It has no clock, no
// goroutine, no lock and no frame; its owner, the room of package channel, has those.
//
//	tracker ── Told ──────▶ ┌─────────┐ ── Watch, Refresh, StopWatch ▶ tracker
//	channel ── Joined, ───▶ │         │ ── SendDiff, SendCounts ─────▶ all seats
//	           Settled,     │ Machine │ ── SendState, PushCounts ────▶ seats that waited
//	           StateWanted, │         │ ── SendHeld ─────────────────▶ one seat
//	           Left         │         │
//	Fetch ──── DiffFetched,▶│         │ ── FetchDiff, FetchList ─────▶ Fetch
//	           ListFetched  │         │
//	timer ──── TimerFired ─▶└─────────┘ ── SetTimer, ClearTimer ─────▶ timer
//
// # What it promises
//
// For every client the state that it was given and the diffs after it are exact: none
// missed, none twice.
//
//   - The published state is the state at the last diff that was sent, if it is known.
//     A client may be given it at any time: what came since is pending, and reaches that
//     client with all others.
//   - When it is not known, and for a channel that has tracked something, the tracker is
//     asked for the state in its place in the sequence of events (Refresh). What is
//     pending is sent before that place, which so is a diff boundary. The client waits,
//     and gets no diffs meanwhile, for they will be in the state.
//   - A client that was sent diffs before it asked goes on getting them up to the state.
//     It applies them after the state, as phoenix.js does, which is harmless only if none
//     is missing: a leave that was withheld would bring back the one that left.
//   - The diffs of the moment of joining are held, until the channel has handled what
//     Join sent to itself. It is then that channels ask for the state: the held diffs are
//     in it, and dropped. A channel that does not ask is sent them as one.
//   - A state waits for the topic to be complete, but no longer than the state timeout.
//     The timeout ends the wait of all that wait then, also of those that came late.
//   - With a Fetch no state outlives the next diff: it was fetched for its time. A state is
//     not kept for one client either, which has it.
//   - Counts are told as they are after each round, so none is held back.
//
// When a diff goes is the matter of window.go.
//
// # Seats
//
// A seat is one client's place. Its state says what it was sent, and so what it may be
// sent next:
//
//	             ┌───────── Settled, nothing held ──────────▶ live ── diff ──┐
//	Joined ─▶ new┤                                             │             ▼
//	             ├───────── Settled, held diffs sent ──────────┼────────▶ early
//	             │                                             │             │
//	             └─ StateWanted ─┐    ┌──── StateWanted ───────┘        StateWanted
//	                             ▼    ▼                                      ▼
//	                            waiting ◀── StateWanted ── synced ◀─ state ─ catching
//	                               └────────── state ────────▲
//
// Where the published state is known, and the channel has tracked nothing, StateWanted
// leads to synced at once. Live, early, catching and synced seats are sent diffs.
//
// # Use
//
// The owner carries out all actions of an input before it gives the next one, and answers
// SendDiff and SendCounts with Sent, FetchDiff with DiffFetched and FetchList with
// ListFetched. Until then the machine sends no other diff, and notes what it is told: what
// waits is bounded by the net change and a constant ([Diffs]), however long Fetch takes.
// Inputs after Ended do nothing.
//
// A round costs no allocation for each seat: the seats that are sent diffs stand first in
// one slice, which is what an action names.
package room
