package main

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/transport/membus"
	"github.com/rollcall-go/rollcall/transport/websocket"
)

func TestAWholePartyOnTwoReplicas(t *testing.T) {
	cluster(t, func(t *testing.T, a, b *replica) {
		al, bo := a.join("al"), b.join("bo")
		sees(t, "idle, 2 present", al, bo)

		al.do("start_pointing", nil)
		sees(t, "card 1 by al, 0 of 2 voted", al, bo)
		require.Equal(t, &builtinDeck[0], bo.round().Card, "the driver's deck, also where the replica has another")

		al.vote(5)
		sees(t, "card 1 by al, 1 of 2 voted", al, bo)
		bo.vote(3)
		sees(t, "card 1 by al: tie [3 5], al 5, bo 3", al, bo)
		for _, c := range []*client{al, bo} {
			ties := c.got("tie")
			require.Len(t, ties, 1)
			require.JSONEq(t, `{"points":[3,5],"votes":{"al":5,"bo":3}}`, string(ties[0].payload))
		}

		bo.vote(5)
		sees(t, "card 1 by al: winner [5], al 5, bo 5", al, bo)
		for _, c := range []*client{al, bo} {
			winners := c.got("winner")
			require.Len(t, winners, 1)
			require.JSONEq(t, `{"points":5,"votes":{"al":5,"bo":5}}`, string(winners[0].payload))
		}

		al.do("next_card", nil)
		sees(t, "card 2 by al, 0 of 2 voted", al, bo)
		al.do("next_card", nil) // skipped
		sees(t, "card 3 by al, 0 of 2 voted", al, bo)
		bo.vote(1)
		al.vote(1)
		sees(t, "card 3 by al: winner [1], al 1, bo 1", al, bo)
		al.do("next_card", nil)
		sees(t, "over after 3", al, bo)

		bo.do("start_pointing", nil)
		sees(t, "card 5 by bo, 0 of 2 voted", al, bo)
		require.Equal(t, &builtinDeck[3], al.round().Card)
	})
}

func TestThePresenceStateComesAfterTheJoinAndOwnEntryByDiff(t *testing.T) {
	cluster(t, func(t *testing.T, a, b *replica) {
		a.join("al")
		al2 := a.join("al")
		bo := a.join("bo") // the topic is complete on this replica by now
		require.Equal(t, "phx_reply presence_state presence_diff", events(bo.got("phx_reply", "presence_state", "presence_diff")))
		require.NotContains(t, string(bo.got("presence_state")[0].payload), `"bo":`)
		require.Contains(t, string(bo.got("presence_diff")[0].payload), `"bo":`)
		require.Contains(t, events(al2.got()), "presence_diff", "others hear of the join")
	})
}

func TestNewCardClearsEachTabsOwnVoteBeforeItIsShown(t *testing.T) {
	cluster(t, func(t *testing.T, a, b *replica) {
		al, bo := a.join("al"), b.join("bo")
		al.do("start_pointing", nil)
		al.vote(3)
		bo.vote(3)
		al.forget()
		bo.forget()
		for _, tab := range []struct {
			c *client
			r *replica
		}{{al, a}, {bo, b}} {
			tab.c.onFrame = func(f frame) {
				if p, _ := tab.r.tracker.Get("party:x", tab.c.name); f.event == "new_card" && decodeMeta(p.Metas[0]).Vote != nil {
					t.Errorf("%s is shown the card before the vote is cleared", tab.c.name)
				}
			}
		}
		al.do("next_card", nil)
		for _, c := range []*client{al, bo} {
			require.Len(t, c.got("new_card"), 1)
			var card cardMessage
			require.NoError(t, json.Unmarshal(c.got("new_card")[0].payload, &card))
			require.Equal(t, cardMessage{N: 2, Index: 1, Total: 3, Card: &builtinDeck[1], Driver: "al"}, card)
		}
		for _, r := range []*replica{a, b} {
			for _, p := range r.tracker.Peek("party:x").Presences {
				require.Nil(t, decodeMeta(p.Metas[0]).Vote, "%s on %s", p.Key, r.tracker.Name())
			}
		}
		require.Contains(t, events(bo.got()), "presence_diff")
	})
}

func TestVotesAreHiddenUntilTheLastIsIn(t *testing.T) {
	cluster(t, func(t *testing.T, a, b *replica) {
		al, bo, cy := a.join("al"), b.join("bo"), b.join("cy")
		al.do("start_pointing", nil)
		al.vote(5)
		bo.vote(5)
		for _, c := range []*client{al, bo, cy} {
			for _, f := range c.got() {
				if f.event == eventYourVote {
					require.NotEqual(t, cy, c, "cy has not voted")
					continue
				}
				require.NotContains(t, string(f.payload), `"points"`, "%s to %s", f.event, c.name)
			}
		}
		require.Contains(t, string(cy.got("presence_diff")[len(cy.got("presence_diff"))-1].payload), `"vote":{"card":1}`)

		late := b.join("di")
		require.NotContains(t, string(late.got("presence_state")[0].payload), `"points"`)
		require.Contains(t, string(late.got("presence_state")[0].payload), `"vote":{"card":1}`)
		cy.vote(1)
		late.vote(5)
		sees(t, "card 1 by al: winner [5], al 5, bo 5, cy 1, di 5", al, bo, cy, late)
		for _, c := range []*client{al, bo, cy, late} {
			for _, f := range c.got("presence_state", "presence_diff") {
				require.NotContains(t, string(f.payload), `"points"`, "also after the reveal")
				require.NotContains(t, string(f.payload), `"title"`)
			}
		}
	})
}

func TestAUserWithTwoTabsIsOneVoterWhoseNewestVoteCounts(t *testing.T) {
	cluster(t, func(t *testing.T, a, b *replica) {
		al, bo := a.join("al"), b.join("bo")
		al.do("start_pointing", nil)
		al.vote(5)
		al2 := b.join("al")
		require.Equal(t, `{"card":1,"points":5}`, string(al2.got("your_vote")[0].payload), "a new tab is told the user's own vote")
		sees(t, "card 1 by al, 1 of 2 voted", al, bo, al2)
		al2.vote(1)
		require.Equal(t, `{"card":1,"points":1}`, string(al.got("your_vote")[1].payload))
		require.Empty(t, bo.got("your_vote"), "and nobody else")
		bo.vote(1)
		sees(t, "card 1 by al: winner [1], al 1, bo 1", al, bo, al2)

		al2.do("next_card", nil) // the driver is a user, not a tab
		sees(t, "card 2 by al, 0 of 2 voted", al, bo, al2)
		al.do("next_card", nil)
		sees(t, "card 3 by al, 0 of 2 voted", al, bo, al2)
	})
}

func TestALaterVoteCountsWhateverTheClockOfTheOtherReplicaSays(t *testing.T) {
	cluster(t, func(t *testing.T, a, b *replica) {
		al := a.join("al")
		al.do("start_pointing", nil)
		tab := b.tracker.NewSession()
		ahead := time.Now().Add(time.Hour).UnixMilli()
		_, err := tab.Track("party:x", "al", Meta{Tab: "other", Joined: ahead, Vote: &Vote{Card: 1, Points: 5, At: ahead}})
		require.NoError(t, err)
		settle()
		sees(t, "card 1 by al: winner [5], al 5", al)
		al.vote(3)
		sees(t, "card 1 by al: winner [3], al 3", al)
		tab.Close()
	})
}

func TestAVoteAfterTheRevealAsksForANewResult(t *testing.T) {
	cluster(t, func(t *testing.T, a, b *replica) {
		al, bo := a.join("al"), b.join("bo")
		al.do("start_pointing", nil)
		al.vote(3)
		bo.vote(5)
		bo.leave()
		sees(t, "card 1 by al: tie [3 5], al 3", al)
		al.vote(5) // a 5 was counted before, but not this one
		sees(t, "card 1 by al: winner [5], al 5", al)
	})
}

func TestARoundCompletesWithoutAVoterWhoLeaves(t *testing.T) {
	cluster(t, func(t *testing.T, a, b *replica) {
		al, bo, cy := a.join("al"), b.join("bo"), b.join("cy")
		al.do("start_pointing", nil)
		al.vote(3)
		bo.vote(3)
		cy.leave()
		sees(t, "card 1 by al, 2 of 2 voted", al, bo)
		time.Sleep(settlePeriod) // virtual
		settle()
		sees(t, "card 1 by al: winner [3], al 3, bo 3", al, bo)
	})
}

func TestAReloadDoesNotReveal(t *testing.T) {
	cluster(t, func(t *testing.T, a, b *replica) {
		al, bo := a.join("al"), b.join("bo")
		al.do("start_pointing", nil)
		al.vote(3)
		bo.leave()
		bo = a.join("bo")
		time.Sleep(2 * settlePeriod) // virtual
		settle()
		sees(t, "card 1 by al, 1 of 2 voted", al, bo)
		bo.vote(3)
		sees(t, "card 1 by al: winner [3], al 3, bo 3", al, bo)
	})
}

func TestWhoJoinsMidRoundIsWaitedForAndAfterTheRevealIsNot(t *testing.T) {
	cluster(t, func(t *testing.T, a, b *replica) {
		al, bo := a.join("al"), b.join("bo")
		al.do("start_pointing", nil)
		al.vote(3)
		cy := b.join("cy")
		sees(t, "card 1 by al, 1 of 3 voted", al, bo, cy)
		bo.vote(5)
		sees(t, "card 1 by al, 2 of 3 voted", al, bo, cy)
		cy.vote(5)
		sees(t, "card 1 by al: winner [5], al 3, bo 5, cy 5", al, bo, cy)

		di := a.join("di")
		sees(t, "card 1 by al: winner [5], al 3, bo 5, cy 5", al, bo, cy, di)
		require.Empty(t, di.got("winner"), "the result is old news, told by round")
		di.vote(3)
		sees(t, "card 1 by al: tie [3 5], al 3, bo 5, cy 5, di 3", al, bo, cy, di)
		bo.leave()
		time.Sleep(2 * settlePeriod) // virtual
		settle()
		sees(t, "card 1 by al: tie [3 5], al 3, cy 5, di 3", al, cy, di)
	})
}

func TestTheLastTwoVotesAtOnceOnTwoReplicas(t *testing.T) {
	cluster(t, func(t *testing.T, a, b *replica) {
		al, bo := a.join("al"), b.join("bo")
		al.do("start_pointing", nil)
		for card := 1; card <= 3; card++ {
			al.send("user_estimated", map[string]int{"points": 3})
			bo.send("user_estimated", map[string]int{"points": 3})
			settle()
			want := "card " + string(rune('0'+card)) + " by al: winner [3], al 3, bo 3"
			sees(t, want, al, bo)
			require.Len(t, al.got("winner"), card)
			require.Len(t, bo.got("winner"), card)
			al.do("next_card", nil)
		}
	})
}

func TestAVoteRightAfterTheCardIsForThatCard(t *testing.T) {
	cluster(t, func(t *testing.T, a, b *replica) {
		al := a.join("al")
		al.do("start_pointing", nil)
		// Nothing has been decided about card 2 when these are handled.
		next := al.send("next_card", map[string]int{"card": 1})
		again := al.send("next_card", map[string]int{"card": 1})
		vote := al.send("user_estimated", map[string]int{"points": 5})
		settle()
		status, _ := al.reply(next)
		require.Equal(t, "ok", status)
		status, response := al.reply(again)
		require.Equal(t, "error", status, "an impatient second click turns no second card")
		require.Contains(t, response, "card 1 is not on the table any more")
		status, _ = al.reply(vote)
		require.Equal(t, "ok", status)
		sees(t, "card 2 by al: winner [5], al 5", al)
	})
}

func TestTwoWhoStartAtOnce(t *testing.T) {
	cluster(t, func(t *testing.T, a, b *replica) {
		al, bo := a.join("al"), b.join("bo")
		a.bus.Disconnect() // long enough for neither to hear of the other's start
		bo.do("start_pointing", nil)
		al.do("start_pointing", nil)
		require.Equal(t, "al", al.round().Driver)
		require.Equal(t, "bo", bo.round().Driver)
		a.bus.Reconnect()
		time.Sleep(5 * time.Second)                   // virtual
		sees(t, "card 1 by al, 0 of 2 voted", al, bo) // al was here first
		require.Equal(t, al.round(), bo.round())
		bo.refused("next_card", nil, "al is driving")
		require.Nil(t, rounds(b)["bo"], "bo's own round is gone")
		al.vote(1)
		bo.vote(1)
		sees(t, "card 1 by al: winner [1], al 1, bo 1", al, bo)
	})
}

// rounds is what the metas in the room hold, by user.
func rounds(r *replica) map[string]*Round {
	held := make(map[string]*Round)
	for _, p := range r.tracker.Peek("party:x").Presences {
		for _, m := range p.Metas {
			if round := decodeMeta(m).Round; round != nil {
				held[p.Key] = round
			}
		}
	}
	return held
}

func TestWhoeverStartsAtTheSameInstantThereIsOneDriver(t *testing.T) {
	cluster(t, func(t *testing.T, a, b *replica) {
		al, bo := a.join("al"), b.join("bo")
		al.send("start_pointing", nil)
		bo.send("start_pointing", nil)
		settle()
		require.Equal(t, al.round(), bo.round())
		require.Len(t, rounds(a), 1)
		require.Contains(t, rounds(a), al.round().Driver)
	})
}

func TestTheDriverLeavesAndTheSeniorTakesOver(t *testing.T) {
	cluster(t, func(t *testing.T, a, b *replica) {
		bo := b.join("bo")
		time.Sleep(time.Second) // virtual
		al, cy := a.join("al"), a.join("cy")
		al.do("start_pointing", nil)
		bo.vote(3)
		cy.vote(5)
		al.vote(5)
		sees(t, "card 1 by al: winner [5], al 5, bo 3, cy 5", bo, cy)
		al.leave()
		sees(t, "card 1 by bo: winner [5], bo 3, cy 5", bo, cy)
		require.Len(t, rounds(a), 1)
		bo.do("next_card", nil)
		sees(t, "card 2 by bo, 0 of 2 voted", bo, cy)
		require.Equal(t, &builtinDeck[4], cy.round().Card, "from the new driver's deck")

		bo.leave()
		bo = a.join("bo")
		sees(t, "card 2 by cy, 0 of 2 voted", bo, cy)
	})
}

func TestTheDriversOtherTabTakesOver(t *testing.T) {
	cluster(t, func(t *testing.T, a, b *replica) {
		bo := b.join("bo")
		time.Sleep(time.Second) // virtual
		al := a.join("al")
		al2 := b.join("al")
		al.do("start_pointing", nil)
		al.leave()
		sees(t, "card 1 by al, 0 of 2 voted", al2, bo)
	})
}

func TestARoundOutlivesItsReplica(t *testing.T) {
	cluster(t, func(t *testing.T, a, b *replica) {
		al := a.join("al")
		bo, cy := b.join("bo"), b.join("cy")
		al.do("start_pointing", nil)
		al.do("next_card", nil)
		bo.vote(3)
		a.bus.Disconnect()           // as good as killed
		time.Sleep(15 * time.Second) // virtual
		settle()
		sees(t, "card 2 by bo, 1 of 2 voted", bo, cy)
		al2 := b.join("al") // al's browser comes back elsewhere
		sees(t, "card 2 by bo, 1 of 3 voted", bo, cy, al2)

		a.bus.Reconnect()            // not dead at all: al is there twice, bo drives
		time.Sleep(15 * time.Second) // virtual
		settle()
		held := rounds(a)
		require.Len(t, held, 1)
		require.Equal(t, held, rounds(b))
		require.Equal(t, al.round(), bo.round())
	})
}

func TestTheHeirMayBeWhereTheRoundWasNeverSeen(t *testing.T) {
	cluster(t, func(t *testing.T, a, b *replica) {
		al, bo := a.join("al"), a.join("bo")
		// A tab whose clock is far behind, and whose channel does nothing.
		ghost := b.tracker.NewSession()
		_, err := ghost.Track("party:x", "zed", Meta{Tab: "ghost", Joined: 1})
		require.NoError(t, err)
		al.do("start_pointing", nil)
		al.leave()
		sees(t, "card 1 by , 0 of 2 voted", bo)
		bo.refused("next_card", nil, "somebody takes over in a moment")
		time.Sleep(heirPeriod) // virtual
		settle()
		sees(t, "card 1 by bo, 0 of 2 voted", bo)
		ghost.Close()
	})
}

func TestAReplicaRemembersTheRoomOfSomebodyWhoReloadsAlone(t *testing.T) {
	cluster(t, func(t *testing.T, a, b *replica) {
		al := a.join("al")
		al.do("start_pointing", nil)
		al.leave()
		time.Sleep(lingerPeriod / 2) // virtual
		al = a.join("al")
		sees(t, "card 1 by al, 0 of 1 voted", al)
		al.leave()
		time.Sleep(2 * lingerPeriod) // virtual
		al = a.join("al")
		sees(t, "idle, 1 present", al)
	})
}

func TestRoomsAreApart(t *testing.T) {
	cluster(t, func(t *testing.T, a, b *replica) {
		al := a.join("al")
		bo := b.connect("y", url.Values{"name": {" bo "}}) // the socket carries the name
		status, response := bo.ask("phx_join", map[string]any{})
		require.Equal(t, "ok", status)
		require.JSONEq(t, `{"name":"bo"}`, response)
		settle()
		bo.do("start_pointing", nil)
		sees(t, "idle, 1 present", al)
		sees(t, "card 1 by bo, 0 of 1 voted", bo)
	})
}

func TestWhatIsRefused(t *testing.T) {
	cluster(t, func(t *testing.T, a, b *replica) {
		al, bo := a.join("al"), b.join("bo")
		bo.refused("next_card", nil, "there is no card on the table")
		bo.refused("user_estimated", map[string]int{"points": 3}, "there is no card on the table to point")
		al.do("start_pointing", nil)
		bo.refused("start_pointing", nil, "the party has started already; al is driving")
		bo.refused("next_card", nil, `"driver":"al"`)
		for _, payload := range []any{
			map[string]any{"points": 2}, map[string]any{"points": -1}, map[string]any{"points": "3"}, map[string]any{"points": 3.5},
			map[string]any{"points": nil}, map[string]any{}, []int{3}, nil, map[string]any{"points": 3, "card": "1"},
		} {
			bo.refused("user_estimated", payload, `"points\" must be one of [0 1 3 5]`)
		}
		bo.refused("user_estimated", map[string]int{"points": 3, "card": 7}, "card 7 is not on the table any more")
		al.refused("next_card", map[string]string{"card": "x"}, "must be the number of the card")
		al.refused("next_card", map[string]int{"card": 7}, "card 7 is not on the table any more")
		al.refused("reveal", nil, `unknown event \"reveal\"`)
		sees(t, "card 1 by al, 0 of 2 voted", al, bo)
	})
}

func TestWhoMayNotJoin(t *testing.T) {
	cluster(t, func(t *testing.T, a, _ *replica) {
		tests := []struct {
			room    string
			payload any
			reason  string
		}{
			{"x", map[string]any{}, "your name is empty"},
			{"x", map[string]any{"name": "  "}, "your name is empty"},
			{"x", map[string]any{"name": strings.Repeat("a", 41)}, "your name has 41 characters, at most 40"},
			{"x", map[string]any{"name": "a\u0000"}, "U+0000"},
			{"x", map[string]any{"name": 7}, `the payload must be {\"name\": \"...\"}`},
			{"x", "al", `the payload must be {\"name\": \"...\"}`},
			{"", map[string]any{"name": "al"}, "the name of the room is empty"},
			{" x", map[string]any{"name": "al"}, "begins or ends with a space"},
			{strings.Repeat("x", 61), map[string]any{"name": "al"}, "the name of the room has 61 characters"},
		}
		for _, tt := range tests {
			c := a.connect(tt.room, nil)
			c.refused("phx_join", tt.payload, tt.reason)
		}
		require.Empty(t, a.app.rooms.byTopic, "and no room is opened")
	})
}

// A replica that does not know yet who is here neither tallies nor lets anybody
// start another first card.
func TestNothingIsDecidedBeforeEverybodyIsKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := membus.New()
		a := startReplica(t, network, "a", builtinDeck)
		defer a.stop()
		time.Sleep(5 * time.Second) // virtual
		al := a.join("al")
		al.do("start_pointing", nil)
		al.vote(3)
		b := startReplica(t, network, "b", builtinDeck)
		defer b.stop()
		bo := b.connect("x", nil)
		bo.name = "bo"
		_, _ = bo.ask("phx_join", map[string]string{"name": "bo"})
		_, response := bo.ask("start_pointing", nil)
		require.NotContains(t, response, "{}", "whatever it says, it does not start")
		time.Sleep(5 * time.Second) // virtual
		settle()
		require.Equal(t, al.round(), bo.round())
		require.Equal(t, 1, bo.round().N)
		require.Equal(t, "al", bo.round().Driver)
	})
}

func TestADeckOfNothingIsRefused(t *testing.T) {
	_, err := newApp(nil, nil, nil, testSite(), websocket.Config{}, nil)
	require.ErrorContains(t, err, "the deck has no cards")
}
