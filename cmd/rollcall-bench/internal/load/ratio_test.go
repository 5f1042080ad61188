package load

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRatiosAreToTheLowestFloorOfTheSameStep(t *testing.T) {
	row := func(step string, run int, cpu float64) Row {
		return Row{Step: step, Run: run, Cells: []Cell{cell("deliveries", "deliveries", 0, 7), cell("server_cpu_us_per_delivery", "us", 2, cpu)}}
	}
	rows := ratios("fanout", withMedians([]Row{
		row("window 8", 1, 6), row("window 8, floor direct", 1, 3), row("window 8, floor batched", 1, 2),
		row("window 8", 2, 8), row("window 8, floor direct", 2, 5), row("window 8, floor batched", 2, 4),
	}))
	require.Equal(t, []Row{{Step: "window 8: us", Cells: []Cell{
		cell("rollcall", "rollcall", 2, 6), cell("floor_direct", "floor direct", 2, 3),
		cell("floor_batched", "floor batched", 2, 2), cell("times_the_floor", "times the floor", 2, 3),
	}}}, rows)
	rows = ratios("fanout", []Row{row("window 8", 1, 6), row("window 8, floor direct", 1, 0), row("window 8, floor batched", 1, 1)})
	require.True(t, math.IsNaN(rows[0].Cells[3].Value), "a floor that is too small to be measured")
}
