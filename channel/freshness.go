package channel

import "time"

const (
	// patienceUsual is how long a join is fresh at most where goroutines get a
	// processor when they can use one: what takes longer waits for something else,
	// for joins take 0.1 to 0.3 ms of a processor.
	patienceUsual = time.Millisecond
	// patienceBusy is the same where processors are short: what takes longer than
	// patienceUsual may only wait for one. Go takes it from who has had it for so
	// long.
	patienceBusy = 10 * time.Millisecond
	// patienceWrite is how long a join counts, once it is settled, for a heavy state
	// to be written. Where clients stop reading for a moment, all of those who are
	// being written to do; with patienceUsual hundreds of states then waited in
	// sockets, and were written at once when it was over.
	patienceWrite = 10 * time.Millisecond
	// onTime is how late an alarm comes at most where processors are not short.
	onTime = time.Millisecond
)

// patienceOf is what an alarm that came so late tells: how long a join is fresh
// at most.
func patienceOf(late time.Duration) time.Duration {
	if late > onTime {
		return patienceBusy
	}
	return patienceUsual
}

// freshness is the joins, of all routes, that are fresh since a known time, in its
// order. It is pure; admission guards it.
type freshness struct {
	joins chain[joiner]
}

func (f *freshness) begin(j *joiner, now time.Time) {
	j.since = now
	f.joins.push(&j.among)
}

func (f *freshness) end(j *joiner) { f.joins.remove(&j.among) }

// over takes out one that has been fresh for as long as patience says; nil where
// none has.
func (f *freshness) over(now time.Time, patience time.Duration) *joiner {
	j := f.joins.front()
	if j == nil || now.Sub(j.since) < patience {
		return nil
	}
	f.end(j)
	return j
}

// look is when to look for one that has been fresh for too long; false where none
// is fresh. Who is spared because processors are short is looked at again after
// as long, for they may not be any more.
func (f *freshness) look(now time.Time) (time.Time, bool) {
	j := f.joins.front()
	if j == nil {
		return time.Time{}, false
	}
	if due := j.since.Add(patienceUsual); due.After(now) {
		return due, true
	}
	return now.Add(patienceUsual), true
}
