package presence

// Dump is what a replica holds of one topic, for debugging and for tests: every
// part with its numbers. It is a copy.
type Dump struct {
	Topic      string
	Interested bool
	Complete   bool
	Own        Part   // what this replica's own sessions hold
	Views      []Part // what is known of others, sorted by replica
}

// Part is one replica's part of a topic.
type Part struct {
	Replica string
	Epoch   uint64
	Birth   uint64 // the first epoch of the process
	Seq     uint64 // the owner's number at which the part stands; for Own, the replica's counter
	Up      bool
	Synced  bool
	Need    uint64 // the owner is known to be at least here
	Held    int    // deltas that came too early
	Entries []Entry
}

// Entry is one presence in a Part.
type Entry struct {
	Dot, Origin uint64
	Key         string
	Meta        Meta
}

// Dump returns what is held of topic.
func (r *Replica) Dump(name string) Dump {
	d := Dump{Topic: name, Own: Part{Replica: r.cfg.Name, Epoch: r.epoch, Birth: r.birth, Seq: r.counter, Up: true, Synced: true}}
	t := r.topics[name]
	if t == nil {
		return d
	}
	d.Interested, d.Complete = t.interested, r.isComplete(t)
	part := func(p Part, all func(func(entry) bool)) Part {
		for e := range all {
			p.Entries = append(p.Entries, Entry{e.Dot, e.Origin, e.Key, visible{p.Birth, e}.meta()})
		}
		return p
	}
	if t.own != nil {
		d.Own = part(d.Own, t.own.All())
	}
	for _, v := range t.views {
		d.Views = append(d.Views, part(Part{
			Replica: v.m.name, Epoch: v.m.epoch, Birth: v.m.birth, Seq: v.state.Seq(),
			Up: v.m.up, Synced: v.synced, Need: v.need, Held: len(v.rarely().held),
		}, v.state.All()))
	}
	return d
}
