package crdt

// Entry is one value that a replica holds under a key.
type Entry[K comparable, V any] struct {
	// Dot names the entry among all of its replica, for ever. It is above 0.
	Dot uint64
	// Origin is the dot of the add that this entry goes back to over updates;
	// equal to Dot when the entry was never updated.
	Origin uint64
	Key    K
	Value  V
}

// Delta is what changed in one replica's contribution between two of its
// numbers. All lists are ascending. A Delta is immutable once made.
type Delta[K comparable, V any] struct {
	// From is the lowest number a view may be at for the delta to apply.
	From uint64
	// Base is where the removal range (Base, To] begins; at most From.
	Base uint64
	// To is the number that a view is at after applying.
	To uint64
	// Adds are the entries above From (above 0 in a snapshot) that are live at To.
	Adds []Entry[K, V]
	// Rems are dots at or below Base that were removed after it.
	Rems []uint64
	// Keep are dots in (Base, From] that are still live: the dot set of a
	// dot-set repair.
	Keep []uint64
}

// Changes is what applying a delta did to a view. An entry in Added and one in
// Removed with the same Origin are an update.
type Changes[K comparable, V any] struct {
	Added, Removed []Entry[K, V]
}

// Empty reports whether nothing changed.
func (c Changes[K, V]) Empty() bool { return len(c.Added) == 0 && len(c.Removed) == 0 }

// Outcome is how [View.Apply] took a delta.
type Outcome int

const (
	// Applied: the view is now at the delta's To.
	Applied Outcome = iota
	// Known: the view was there already; nothing changed.
	Known
	// Gap: the delta begins above the view; nothing changed. What is between
	// has to come first: the caller asks the owner.
	Gap
)

func (o Outcome) String() string {
	switch o {
	case Applied:
		return "applied"
	case Known:
		return "known"
	case Gap:
		return "gap"
	}
	return "unknown outcome"
}
