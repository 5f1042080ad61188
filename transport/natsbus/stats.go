package natsbus

// Stats are counts since New, except for the last two, which are as of now.
type Stats struct {
	Published uint64 // messages given to NATS
	Received  uint64 // messages of a lane and destination that a Conn is subscribed to
	Dropped   uint64 // of those and of Unreachable events: the Conn's queue had no room
	Overruns  uint64 // times the channel from nats.go was full: it may have dropped any number
	Lost      uint64 // Lost events delivered
	Errors    uint64 // asynchronous errors of the connection, such as missing permissions

	Subscriptions int // NATS subscriptions, without the one for answers
	QueuedBytes   int // in the queues of all Conns
}

// Stats returns the counts at this moment.
func (b *Bus) Stats() Stats {
	b.change.Lock() // against a Conn that is moved to the sums of closed ones
	defer b.change.Unlock()
	s := Stats{
		Published: b.published.Load(),
		Received:  b.received.Load(),
		Dropped:   b.dropped.Load(),
		Overruns:  b.overruns.Load(),
		Lost:      b.lost.Load(),
		Errors:    b.refused.Load(),
	}
	b.eachConn(func(c *conn) {
		waiting, dropped, told := c.queue.Counts()
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
