package load

import (
	"math"
	"slices"
)

// floorsOf are the kinds of floor that a mode is compared with.
var floorsOf = map[string][]string{
	"fanout": {floorDirect, floorBatched},
	"conns":  {floorDirect},
}

// floorStep names a step that was done with a floor.
func floorStep(step, kind string) string { return step + ", floor " + kind }

// compared are the figures in which a mode is compared with its floors.
var compared = map[string][]string{
	"fanout": {"server_cpu_us_per_delivery"},
	"conns":  {"server_cpu_us_per_join", "resident_kib_per_connection"},
}

// ratios sets each step beside the same one with the floors: a row for each
// figure, of medians if there are any, with how many times the lowest floor the
// replica takes.
func ratios(mode string, rows []Row) []Row {
	last := map[string]Row{} // the median comes last
	var steps []string
	for _, row := range rows {
		if !slices.Contains(steps, row.Step) {
			steps = append(steps, row.Step)
		}
		last[row.Step] = row
	}
	var all []Row
	for _, step := range steps {
		if _, ok := last[floorStep(step, floorsOf[mode][0])]; !ok {
			continue // it is one of a floor
		}
		for _, key := range compared[mode] {
			figure := func(step string) Cell {
				cells := last[step].Cells
				return cells[slices.IndexFunc(cells, func(c Cell) bool { return c.Key == key })]
			}
			ours, lowest := figure(step), math.Inf(1)
			row := Row{Step: step + ": " + ours.Title, Run: last[step].Run, Cells: []Cell{cell("rollcall", "rollcall", 2, ours.Value)}}
			for _, kind := range floorsOf[mode] {
				v := figure(floorStep(step, kind)).Value
				lowest = min(lowest, v)
				row.Cells = append(row.Cells, cell("floor_"+kind, "floor "+kind, 2, v))
			}
			times := ours.Value / lowest
			if lowest == 0 { // less than the grain of CPU times
				times = math.NaN()
			}
			row.Cells = append(row.Cells, cell("times_the_floor", "times the floor", 2, times))
			all = append(all, row)
		}
	}
	return all
}
