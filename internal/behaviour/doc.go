// Package behaviour has no code, only tests. They state what a program or a
// client may rely on, whatever the implementation looks like: they import public
// packages only and assert no implementation choice, such as the length of a
// merging window. Code may be rewritten freely as long as these tests pass
// unchanged.
//
// Each file is about one subject:
//
//	exact        no client misses a presence diff or gets one twice
//	diffs        when diffs are sent, and how changes are merged
//	state        presence_state is taken between two diffs, and shared
//	joins        a slow Join delays nothing else; limits and fairness of joins
//	withdrawn    a join given up while it waits leaves nothing behind
//	terminate    Terminate runs once for each accepted Join
//	fetch        Route.Fetch: calls, deadline, failures
//	grace        Route.LeaveGrace: return, expiry, phx_leave
//	slowclient   a client that reads nothing is closed and costs others nothing
//	order        what arrives in the order in which it was sent
//
// Most tests run in virtual time (testing/synctest). Tests over real sockets wait
// for events.
package behaviour
