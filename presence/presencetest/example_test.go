package presencetest_test

import (
	"fmt"
	"time"

	"github.com/rollcall-go/rollcall/presence"
	"github.com/rollcall-go/rollcall/presence/presencetest"
)

// A program that decides by who is present can be tested against everything that
// may happen to a cluster: here, the replica that is first by name among those
// with somebody in "leaders" is to lead. When its process dies, the next one does.
func Example() {
	leader := func(list *presence.List) string {
		if len(list.Presences) == 0 {
			return "nobody"
		}
		return list.Presences[0].Key
	}
	c := presencetest.New(1, "ap", "eu", "us")
	for _, name := range []string{"ap", "eu", "us"} {
		c.Watch(name, "leaders")
		c.Track(name, "leaders", name)
	}
	tell := func(when string) {
		fmt.Printf("%s: eu follows %s, us follows %s\n", when, leader(c.List("eu", "leaders")), leader(c.List("us", "leaders")))
	}
	c.Advance(time.Second)
	tell("at first")

	c.Cut("ap", "us", true)
	c.Advance(15 * time.Second)
	tell("us does not hear ap")

	c.Cut("ap", "us", false)
	c.Advance(2 * time.Second)
	tell("us hears it again")

	c.Kill("ap")
	c.Advance(3 * time.Second)
	tell("ap is killed")
	// Output:
	// at first: eu follows ap, us follows ap
	// us does not hear ap: eu follows ap, us follows eu
	// us hears it again: eu follows ap, us follows ap
	// ap is killed: eu follows eu, us follows eu
}
