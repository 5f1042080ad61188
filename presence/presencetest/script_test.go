package presencetest_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/presence"
	"github.com/rollcall-go/rollcall/presence/presencetest"
)

// A program takes part in a script with commands of its own: here, one in which
// those who are present vote, and the votes are their metas.
func TestAScriptHasCommandsOfTheProgramThatIsTested(t *testing.T) {
	held := map[string]int{} // how many a replica holds, by its name and the voter's
	events := 0
	script := presencetest.Script{
		Start: func(c *presencetest.Cluster) {
			c.OnEvent("us", func(presence.Event) { events++ })
		},
		Commands: map[string]presencetest.Command{
			"vote": func(c *presencetest.Cluster, replica string, args []string) ([]string, error) {
				if len(args) != 3 {
					return nil, fmt.Errorf("vote topic name points")
				}
				meta := fmt.Appendf(nil, `{"points":%s}`, args[2])
				if i, voted := held[replica+args[1]]; voted {
					c.UpdateMeta(replica, i, meta)
					return nil, nil
				}
				held[replica+args[1]] = 0 // each replica has one voter here
				c.TrackMeta(replica, args[0], args[1], meta)
				return nil, nil
			},
			"result": func(c *presencetest.Cluster, replica string, args []string) ([]string, error) {
				sum, names := 0, []string(nil)
				for _, p := range c.List(replica, args[0]).Presences {
					var vote struct{ Points int }
					if err := json.Unmarshal(p.Metas[0].Data, &vote); err != nil {
						return nil, err
					}
					sum, names = sum+vote.Points, append(names, p.Key)
				}
				return []string{fmt.Sprintf("%s: %d points of %s", replica, sum, strings.Join(names, " and "))}, nil
			},
		},
	}
	script.Run(t, "testdata/voting.txt")
	require.Positive(t, events)
}
