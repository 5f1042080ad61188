package natsbus

// Stats counts what a bus did since New.
type Stats struct {
	Published uint64 // messages given to NATS
	Received  uint64 // messages of a lane and destination that is subscribed here
	Dropped   uint64 // of those, and of "unreachable" events: no room in the lane's queue
	Overruns  uint64 // times the channel from nats.go was full: it may have dropped any number
	Lost      uint64 // "lost" events given to lanes
	Errors    uint64 // asynchronous errors of the connection, such as missing permissions

	Subscriptions int // NATS subscriptions now, without the one for answers
	QueuedBytes   int // in the queues of the lanes now
}

// Stats returns the counts at this moment.
func (b *Bus) Stats() Stats {
	b.change.Lock() // against a lane that is moved to the sums of closed ones
	defer b.change.Unlock()
	s := Stats{
		Published: b.published.Load(),
		Received:  b.received.Load(),
		Dropped:   b.dropped.Load(),
		Overruns:  b.overruns.Load(),
		Lost:      b.lost.Load(),
		Errors:    b.refused.Load(),
	}
	b.eachLane(func(l *openLane) {
		waiting, dropped, told := l.queue.Counts()
		s.QueuedBytes += waiting
		s.Dropped += dropped
		s.Lost += told
	})
	s.Subscriptions = len(b.subjects) + len(b.buckets) + len(b.classes)
	for _, k := range b.buckets {
		s.Subscriptions -= k.users // they share its subscription
	}
	return s
}
