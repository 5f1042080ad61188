// Command pointingparty is planning poker for a room full of people, and an
// example of what packages channel and presence are for: a party goes on, with
// nothing to store and nobody in charge, on as many replicas as there are, while
// any of them dies.
//
//	pointingparty --listen localhost:4000
//
// Everybody opens the room's page, /r/NAME, and signs in with a name. Somebody
// starts, and becomes the driver: the first card appears for all. Everybody votes
// 0, 1, 3 or 5; all see who has voted, and when the last vote is in, what. The
// value with the most votes wins; several that share the most are tied. The
// driver, and nobody else, turns the next card.
//
// # Terms
//
//   - A room is a topic, "party:NAME". A user is a presence key in it; a tab is
//     one joined channel, and has one meta under its user's key.
//   - A round is one card on the table ([Round]). It lives in the meta of its
//     driver; rounds are numbered, and the highest number is in force.
//   - A vote ([Vote]) lives in the meta of the tab that cast it. It names the round
//     it is for, and counts for no other. Of a user's tabs the newest vote counts.
//   - The result ([Result]) is recorded into the round by the driver's channel.
//
// # How a party is kept
//
// The whole state is in the presence of the room, which every replica has.
// [decide] computes from it what is on the table, who drives, who has voted and
// what follows; it is pure, so replicas that see the same presences agree without
// talking about it. A room on a replica watches the presences, decides anew with
// every change, tells its own clients, and gives its own channels the duties that
// follow: to record the result, to take an orphaned round over, to drop a round
// that lost. A channel writes its own meta and no other. A tally is thus driven
// by what is known, never by who voted last: two last votes on two replicas at
// once are counted by both.
//
// Nothing is decided while a view is incomplete, that is, while a replica that is
// up has not told whom it has.
//
// What does not follow from the presences alone is remembered per replica: the
// last round seen. So a round outlives its driver and its replica. When nobody
// present holds it, the driver's other tab takes over, else the user who has been
// present longest; should that one's replica not know the round, every replica
// that does lets its own longest present user do it after 1.5 s, and the highest
// round, then the senior user, wins. A replica remembers a room for a minute after
// its last user there has left.
//
// A user who leaves without having voted is waited for for 2 s, so that a reload
// of a page reveals nothing. A result, once recorded, stands when somebody comes
// or goes; when all present have voted and a vote is new, it is tallied again.
//
// # Protocol
//
// The socket is at /socket, the topic "party:NAME", the join's payload
// {"name": "alice"}, or {} when the socket has connected with the parameter name.
// A user name has 1 to 40 characters, a room's 1 to 60. That is all the
// authentication there is: two tabs with one name are one user.
//
// From the client, each answered with ok and {} or with error and
// {"reason": "..."}:
//
//	start_pointing {}                  when no party is under way
//	user_estimated {"points": 3}       0, 1, 3 or 5; with "card": 7 only if that is on the table
//	next_card      {}                  the driver only; with "card": 7 only if that is on the table
//
// To the client:
//
//	presence_state, presence_diff      metas are {"joined": ms, "vote": {"card": 7}}, without values
//	round       the whole state of the table, after the join and with every change
//	new_card    {"n", "index", "total", "card", "driver"}; card is null after the last one
//	winner      {"points": 5, "votes": {"alice": 5, "bob": 5}}
//	tie         {"points": [3, 5], "votes": {"alice": 5, "bob": 3}}
//	your_vote   {"card": 7, "points": 5}, to the tabs of the user who cast it only
//
// new_card is broadcast to all replicas; every channel intercepts it, and clears
// its own vote before its client sees the card. round, winner and tie come from
// the client's own replica. What anybody voted leaves the server with the result
// only.
//
// # The page
//
// The directory web has the page: HTML, CSS and two modules, as they are served;
// nothing is built. It uses the official client, the npm package "phoenix", which
// "npm ci" puts there before the program is built.
//
// # Shutdown
//
// On SIGINT and SIGTERM the server stops accepting, clients are closed with 1012
// so that they come back elsewhere, and the users of this replica leave at once on
// the others.
package main
