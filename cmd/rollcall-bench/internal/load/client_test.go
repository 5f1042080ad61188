package load

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPublishesOfOnePublisherMustArriveInOrder(t *testing.T) {
	c := &client{}
	come := func(event string, seq int64) (int64, int64, error) {
		return c.delivered(frame{event: []byte(event), payload: fmt.Appendf(nil, `{"s":%d,"p":"x"}`, seq)}, 2)
	}
	for _, row := range []struct {
		event       string
		seq         int64
		got, before int64
		fault       string
	}{
		{publishEvent, 1, 1, 0, ""},
		{publishEvent, 4, 4, 0, ""}, // of the other publisher
		{publishEvent, 2, 0, 0, "delivery 2 came after 4"},
		{publishEvent, 3, 3, 1, ""},
		{publishEvent, 3, 0, 0, "delivery 3 came after 3"},
		{"noise", 3, 0, 0, ""},
		{publishEvent, 7, 7, 3, ""}, // 5 is lost, for the mode to judge
	} {
		seq, before, err := come(row.event, row.seq)
		require.Equal(t, [2]int64{row.got, row.before}, [2]int64{seq, before}, row)
		if row.fault == "" {
			require.NoError(t, err, row)
		} else {
			require.ErrorContains(t, err, row.fault)
		}
	}
}
