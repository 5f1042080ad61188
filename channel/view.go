package channel

// A PresenceView is how much the clients of a route are shown of who is present.
type PresenceView uint8

const (
	// PresenceFull: presence_state when a channel pushes the state, and
	// presence_diff for what changes, as in Phoenix.
	PresenceFull PresenceView = iota
	// PresenceCounts: how many, and not who: the event presence_count with
	// {"keys": 2, "sessions": 3}, that is so many users, in so many tabs. It is
	// pushed in place of presence_state, and sent whenever a number has changed,
	// in the same windows as presence_diff: the newest counts, one frame for all.
	// Fetch is not called.
	PresenceCounts
	// PresenceNone: nothing. Channels can track, and PushPresenceState does
	// nothing; a replica does not follow the topic for them.
	PresenceNone
)

const (
	eventPresenceState = "presence_state"
	eventPresenceDiff  = "presence_diff"
	eventPresenceCount = "presence_count"
)
