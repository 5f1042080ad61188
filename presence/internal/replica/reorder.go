package replica

// This file keeps what cannot be applied yet: the reorder buffer of a view, and
// answers of which some chunks are missing.

// reorderLimit is how many deltas that came too early a view keeps.
const reorderLimit = 4

// hold puts a delta that came too early into the reorder buffer, and remembers what it tells of.
func (v *view) hold(d delta) {
	v.need = max(v.need, d.To)
	if x := v.unsettle(); len(x.reorder) < reorderLimit {
		x.reorder = append(x.reorder, d)
	}
}

// drain applies what is in the reorder buffer, as far as it goes.
func (r *Replica) drain(v *view) {
	x := v.extra
	if x == nil {
		return
	}
	for progress := true; progress; {
		progress = false
		kept := x.reorder[:0]
		for _, d := range x.reorder {
			if d.From > v.state.Seq() {
				kept = append(kept, d)
				continue
			}
			r.apply(v, d)
			progress = true
		}
		clear(x.reorder[len(kept):])
		x.reorder = kept
	}
	if len(x.reorder) == 0 && x.parts == nil {
		v.extra = nil
	}
}

// assembly is an answer of which some chunks have come. It counts when it is
// whole.
type assembly struct {
	cut     cut
	chunks  []*delta
	missing int
}

// cut is what an answer was cut into chunks by: what differs here was cut at
// other places.
type cut struct {
	nonce, from, base, to uint64
	others                int // questions that it answers as well, which take room in each chunk
	chunks                uint64
}

func cutOf(part topicPart) cut {
	return cut{part.nonce, part.delta.From, part.delta.Base, part.delta.To, len(part.others), part.chunks}
}

// assemble takes one chunk of an answer and returns the whole, when it is. One
// answer is put together at a time: a chunk of another one begins that one.
func (v *view) assemble(part topicPart) (delta, bool) {
	if part.chunks == 1 {
		return part.delta, true // there is nothing to put together
	}
	x := v.unsettle()
	if !x.parts.takes(part) {
		x.parts = newAssembly(part)
	}
	whole, ok := x.parts.put(part)
	if ok {
		x.parts = nil
	}
	return whole, ok
}

// newAssembly begins an answer of which p is a chunk.
func newAssembly(part topicPart) *assembly {
	return &assembly{cut: cutOf(part), chunks: make([]*delta, part.chunks), missing: int(part.chunks)}
}

// takes reports whether part is a chunk of this answer. There may be none yet.
func (a *assembly) takes(part topicPart) bool {
	return a != nil && a.cut == cutOf(part)
}

// put takes a chunk of this answer and returns the whole, when it is.
func (a *assembly) put(part topicPart) (delta, bool) {
	if a.chunks[part.chunk] == nil {
		a.chunks[part.chunk] = &part.delta
		a.missing--
	}
	if a.missing > 0 {
		return delta{}, false
	}
	whole := delta{From: part.delta.From, Base: part.delta.Base, To: part.delta.To}
	for _, d := range a.chunks {
		whole.Adds = append(whole.Adds, d.Adds...)
		whole.Rems = append(whole.Rems, d.Rems...)
		whole.Keep = append(whole.Keep, d.Keep...)
	}
	return whole, true
}
