package load

import (
	"math"
	"slices"
)

// floorsOf lists the kinds of floor that a mode is compared with.
var floorsOf = map[string][]string{
	"fanout": {floorDirect, floorBatched},
	"conns":  {floorDirect},
}

// floorStep returns the name of a step that is repeated with a floor.
func floorStep(step, kind string) string { return step + ", floor " + kind }

// compared lists the figures that are compared with the floors of a mode.
var compared = map[string][]string{
	"fanout": {"server_cpu_us_per_delivery"},
	"conns":  {"server_cpu_us_per_join", "resident_kib_per_connection"},
}

// ratios compares each step with the same step of the floors: a row for each
// figure, of medians if there are any, with the ratio of the replica to the lowest
// floor.
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
			continue // a step of a floor
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
			if lowest == 0 { // below the resolution of CPU times
				times = math.NaN()
			}
			row.Cells = append(row.Cells, cell("times_the_floor", "times the floor", 2, times))
			all = append(all, row)
		}
	}
	return all
}
