package load

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func sample() *Report {
	row := func(step string, run int, a, b float64) Row {
		return Row{Step: step, Run: run, Cells: []Cell{cell("a_us", "a us", 1, a), cell("b", "b", 0, b)}}
	}
	other := Row{Step: "churn", Run: 1, Cells: []Cell{cell("c_s", "c s", 2, 0.125)}}
	rows := []Row{row("join", 1, 3, 10), row("join", 2, 1, math.NaN()), row("join", 3, 2, math.NaN()), other}
	return &Report{Mode: "presence", Settings: []Cell{cell("clients", "clients", 0, 5), cell("rate", "joins/s", 0, 0.5)}, Machine: Machine{CPUs: 2, Stolen: 1.25}, Rows: withMedians(rows)}
}

func TestTableHasKnownFiguresAndMedians(t *testing.T) {
	var b strings.Builder
	require.NoError(t, sample().WriteTable(&b))
	require.Equal(t, `presence: 5 clients, 0.5 joins/s
2 CPUs, of whose time the host took 1.2%

| step |    run | a us |  b |
|------|--------|------|----|
| join |      1 |  3.0 | 10 |
| join |      2 |  1.0 |  - |
| join |      3 |  2.0 |  - |
| join | median |  2.0 | 10 |

| step  | run |  c s |
|-------|-----|------|
| churn |   1 | 0.12 |
`, b.String())
}

func TestJSONHasTheFiguresOfTheTable(t *testing.T) {
	data, err := json.Marshal(sample())
	require.NoError(t, err)
	require.JSONEq(t, `{"mode":"presence","settings":{"clients":5,"rate":0.5},"machine":{"cpus":2,"stolen_percent":1.25},"rows":[
		{"step":"join","run":1,"a_us":3,"b":10},
		{"step":"join","run":2,"a_us":1,"b":null},
		{"step":"join","run":3,"a_us":2,"b":null},
		{"step":"churn","run":1,"c_s":0.125},
		{"step":"join","run":"median","a_us":2,"b":10}]}`, string(data))
}

func TestBenchmarkLinesHaveTheRuns(t *testing.T) {
	report := sample()
	report.Rows[0].Step, report.Rows[0].Cells[0].Key = "window 8, floor direct", "server_cpu_us_per_delivery"
	var b strings.Builder
	require.NoError(t, report.WriteBenchmarks(&b))
	require.Equal(t, `# presence: 2 CPUs, of whose time the host took 1.2%
BenchmarkLoad/presence/window_8,_floor_direct 1 3 server-cpu-us/delivery 10 b
BenchmarkLoad/presence/join 1 1 a-us
BenchmarkLoad/presence/join 1 2 a-us
BenchmarkLoad/presence/churn 1 0.125 c-s
`, b.String())
}

func TestAFigureWithoutSamplesIsUnknown(t *testing.T) {
	none := 0.0
	rows := []Row{{Step: "window 1", Run: 1, Cells: []Cell{
		cell("us_per_delivery", "us", 1, 5/none), cell("balance", "balance", 1, -5/none), cell("deliveries", "deliveries", 0, none),
	}}}
	report := &Report{Mode: "fanout", Machine: Machine{CPUs: 2, Stolen: math.NaN()}, Rows: rows}
	data, err := json.Marshal(report)
	require.NoError(t, err)
	require.JSONEq(t, `{"mode":"fanout","settings":{},"machine":{"cpus":2,"stolen_percent":null},"rows":[{"step":"window 1","run":1,"us_per_delivery":null,"balance":null,"deliveries":0}]}`, string(data))
	var table, lines strings.Builder
	require.NoError(t, report.WriteTable(&table))
	require.Contains(t, table.String(), "|  - |       - |          0 |")
	require.NoError(t, report.WriteBenchmarks(&lines))
	require.Equal(t, "# fanout: 2 CPUs\nBenchmarkLoad/fanout/window_1 1 0 deliveries\n", lines.String())
}

func TestMedianOfAnEvenNumberIsAMeasuredValue(t *testing.T) {
	require.Equal(t, 2.0, medianOf([]float64{4, 2, 3, 1}))
	require.True(t, math.IsNaN(medianOf(nil)))
}
