package load

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"
)

// storm is a topic that all clients join.
type storm struct {
	*run
	fleet   *fleet
	clients []*client
	parser  *sharedParser
	times   *moments

	full   atomic.Int64 // clients that see all
	fullAt atomic.Int64 // when all last became full, ns since the origin of times
}

// presence joins all clients to one topic; then some leave and rejoin. Joins are
// numbered: the first of user u has number u+1.
func (r *run) presence(ctx context.Context) (rows []Row, err error) {
	churns := 0
	if r.Churn > 0 {
		churns = int(r.ChurnRate * r.Churn.Seconds())
	}
	quiet, err := r.openQuietRooms(ctx, r.servers.targets[0])
	if err != nil {
		return nil, err
	}
	defer quiet.close()
	s := &storm{run: r, parser: newSharedParser(), times: newMoments(r.Clients + churns + 1)}
	s.fleet = newFleet(s.handle)
	defer s.fleet.close()
	r.show.set("connecting", nil)
	quiet.during("connect")
	s.clients, err = s.fleet.connect(ctx, 0, r.Clients, r.servers.targets[0], func(*client) error { return nil })
	if err != nil {
		return nil, err
	}
	if err := s.fleet.sleepUntil(ctx, time.Now().Add(quietFor)); err != nil {
		return nil, err
	}
	quiet.during("join")
	row, err := s.join(ctx)
	if err != nil {
		return nil, err
	}
	rows = append(rows, row)
	if churns > 0 {
		if err := s.fleet.quiet(ctx, settle); err != nil {
			return nil, err
		}
		quiet.during("churn")
		if row, err = s.churn(ctx, churns); err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	room, err := quiet.rows()
	return append(rows, room...), err
}

func (s *storm) handle(c *client, m frame) error {
	if c.seen == nil {
		c.seen = newSeen(s.Clients)
	}
	wasFull := c.seen.count == s.Clients
	if string(m.event) == "phx_reply" { // to its leave, after which it receives no more diffs
		c.seen.clear()
	} else {
		change, state, err := presenceOf(s.parser, m)
		if change == nil || err != nil {
			return err
		}
		if !state {
			s.times.saw(change)
		}
		c.seen.apply(state, change)
	}
	switch full := c.seen.count == s.Clients; {
	case full && !wasFull:
		if s.full.Add(1) == int64(s.Clients) {
			s.fullAt.Store(int64(time.Since(s.times.origin)))
		}
	case wasFull && !full:
		s.full.Add(-1)
	}
	return nil
}

func (s *storm) awaitFull(ctx context.Context) error {
	return s.fleet.await(ctx, settle, "every client to see all", func() bool { return s.full.Load() == int64(s.Clients) })
}

// join joins all clients and waits until all see all.
func (s *storm) join(ctx context.Context) (Row, error) {
	s.show.set("joining", func() string { return fmt.Sprintf("%d of %d see all", s.full.Load(), s.Clients) })
	before, selfBefore, began := s.servers.usage(), self(), time.Now()
	bytesBefore, framesBefore := s.fleet.bytesRead.Load(), s.fleet.frames.Load()
	one := func(_ context.Context, i int) error {
		return s.clients[i].join(joinFrame(s.topic(0), i, int64(i+1)))
	}
	var err error
	if s.JoinRate == 0 {
		err = parallel(ctx, s.Clients, one)
	} else {
		for i := 0; i < s.Clients && err == nil; i++ {
			at := began.Add(time.Duration(float64(i) / s.JoinRate * float64(time.Second)))
			if err = s.fleet.sleepUntil(ctx, at); err == nil {
				err = one(ctx, i)
			}
		}
	}
	if err != nil {
		return Row{}, err
	}
	if err := s.awaitFull(ctx); err != nil {
		return Row{}, err
	}
	after, selfAfter := s.servers.usage(), self()
	took := s.times.origin.Add(time.Duration(s.fullAt.Load())).Sub(began)
	return Row{Step: "join", Cells: []Cell{
		cell("server_cpu_s", "server CPU s", 2, known((after.cpu-before.cpu).Seconds(), before, after)),
		cell("seconds", "s until all see all", 2, took.Seconds()),
		cell("mib_received", "MiB", 1, mib(s.fleet.bytesRead.Load()-bytesBefore)),
		cell("frames", "frames", 0, float64(s.fleet.frames.Load()-framesBefore)),
		cell("server_peak_mib", "server peak MiB", 1, known(mib(after.peak), after)),
		cell("client_cpu_s", "client CPU s", 2, known((selfAfter.cpu-selfBefore.cpu).Seconds(), selfBefore, selfAfter)),
		cell("refused", "joins refused for now", 0, float64(s.fleet.refused.Load())),
	}}, nil
}

// churn makes n clients leave, at ChurnRate, and rejoin.
func (s *storm) churn(ctx context.Context, n int) (Row, error) {
	s.show.set("churn", func() string { return fmt.Sprintf("%d joined again", s.fleet.joins.Load()-int64(s.Clients)) })
	before, selfBefore, began := s.servers.usage(), self(), time.Now()
	bytesBefore, framesBefore := s.fleet.bytesRead.Load(), s.fleet.frames.Load()
	number := make([]int64, s.Clients) // of the current join of each client
	for i := range number {
		number[i] = int64(i + 1)
	}
	due := scattered(began, n, s.ChurnRate)
	for left, back := 0, 0; back < n; {
		if left < n && due[left].Before(due[back].Add(away)) {
			if err := s.fleet.sleepUntil(ctx, due[left]); err != nil {
				return Row{}, err
			}
			user := left % s.Clients
			s.times.leavesAt(number[user], due[left])
			if err := s.clients[user].send(leaveFrame(s.topic(0))); err != nil {
				return Row{}, err
			}
			left++
			continue
		}
		at := due[back].Add(away)
		if err := s.fleet.sleepUntil(ctx, at); err != nil {
			return Row{}, err
		}
		user := back % s.Clients
		number[user] = int64(s.Clients + 1 + back)
		s.times.joinsAt(number[user], at)
		if err := s.clients[user].join(joinFrame(s.topic(0), user, number[user])); err != nil {
			return Row{}, err
		}
		back++
	}
	joins := int64(s.Clients + n)
	if err := s.fleet.await(ctx, settle, "all to have joined again", func() bool { return s.fleet.joins.Load() == joins }); err != nil {
		return Row{}, err
	}
	if err := s.awaitFull(ctx); err != nil {
		return Row{}, err
	}
	after, selfAfter := s.servers.usage(), self()
	notices := float64(2 * n * s.Clients)
	joined, left := &s.times.joined, &s.times.left
	return Row{Step: "churn", Cells: []Cell{
		cell("server_cpu_us_per_notice", "server CPU us/notice", 2, known(micros(after.cpu-before.cpu)/notices, before, after)),
		cell("server_cpu_s", "server CPU s", 2, known((after.cpu-before.cpu).Seconds(), before, after)),
		cell("join_seen_p50_ms", "join p50 ms", 1, millis(joined.Percentile(50))),
		cell("join_seen_p99_ms", "join p99 ms", 1, millis(joined.Percentile(99))),
		cell("leave_seen_p50_ms", "leave p50 ms", 1, millis(left.Percentile(50))),
		cell("leave_seen_p99_ms", "leave p99 ms", 1, millis(left.Percentile(99))),
		cell("mib_received", "MiB", 1, mib(s.fleet.bytesRead.Load()-bytesBefore)),
		cell("frames", "frames", 0, float64(s.fleet.frames.Load()-framesBefore)),
		cell("notices", "notices", 0, notices),
		cell("server_peak_mib", "server peak MiB", 1, known(mib(after.peak), after)),
		cell("client_cpu_s", "client CPU s", 2, known((selfAfter.cpu-selfBefore.cpu).Seconds(), selfBefore, selfAfter)),
	}}, nil
}
