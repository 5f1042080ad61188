package load

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Report is the result of Run.
type Report struct {
	Mode     string
	Settings []Cell
	Machine  Machine
	Rows     []Row // in the order of measurement
}

// Row is one measurement, or the median of those with the same step.
type Row struct {
	Step  string // "window 8", "churn"
	Run   int    // from 1; 0 is the median
	Cells []Cell
}

// Cell is one figure; NaN is unknown.
type Cell struct {
	Key    string // in JSON: snake case, with the unit
	Title  string // in the table
	Value  float64
	Digits int // decimal places in the table
}

// cell returns a figure. An infinite value, from a run without samples, is unknown.
func cell(key, title string, digits int, value float64) Cell {
	if math.IsInf(value, 0) {
		value = math.NaN()
	}
	return Cell{key, title, value, digits}
}

// known returns v, or NaN if a usage that v was computed from is unknown.
func known(v float64, from ...usage) float64 {
	for _, u := range from {
		if !u.known {
			return math.NaN()
		}
	}
	return v
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
func mib(n int64) float64            { return float64(n) / (1 << 20) }

// withMedians appends the median of each step that was run more than once.
func withMedians(rows []Row) []Row {
	steps := map[string][]Row{}
	var order []string
	for _, row := range rows {
		if steps[row.Step] == nil {
			order = append(order, row.Step)
		}
		steps[row.Step] = append(steps[row.Step], row)
	}
	for _, step := range order {
		same := steps[step]
		if len(same) < 2 {
			continue
		}
		median := Row{Step: step, Cells: slices.Clone(same[0].Cells)}
		for i := range median.Cells {
			var values []float64
			for _, row := range same {
				if v := row.Cells[i].Value; !math.IsNaN(v) {
					values = append(values, v)
				}
			}
			median.Cells[i].Value = medianOf(values)
		}
		rows = append(rows, median)
	}
	return rows
}

// medianOf sorts values and returns the median, or the lower of the middle two: a
// value that was measured.
func medianOf(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	slices.Sort(values)
	return values[(len(values)-1)/2]
}

// WriteTable writes Markdown: one table for all steps with the same figures.
func (r *Report) WriteTable(w io.Writer) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s:", r.Mode)
	for i, c := range r.Settings {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, " %s %s", strconv.FormatFloat(c.Value, 'f', -1, 64), c.Title)
	}
	fmt.Fprintf(&b, "\n%s\n", r.Machine)
	for rows := r.Rows; len(rows) > 0; {
		var same, others []Row
		for _, row := range rows {
			if slices.EqualFunc(row.Cells, rows[0].Cells, func(a, b Cell) bool { return a.Key == b.Key }) {
				same = append(same, row)
			} else {
				others = append(others, row)
			}
		}
		b.WriteByte('\n')
		writeRows(&b, same)
		rows = others
	}
	_, err := w.Write(b.Bytes())
	return err
}

// writeRows writes a table with aligned columns.
func writeRows(b *bytes.Buffer, rows []Row) {
	lines := [][]string{{"step", "run"}}
	for _, c := range rows[0].Cells {
		lines[0] = append(lines[0], c.Title)
	}
	for _, row := range rows {
		run := strconv.Itoa(row.Run)
		if row.Run == 0 {
			run = "median"
		}
		line := []string{row.Step, run}
		for _, c := range row.Cells {
			text := "-"
			if !math.IsNaN(c.Value) {
				text = strconv.FormatFloat(c.Value, 'f', c.Digits, 64)
			}
			line = append(line, text)
		}
		lines = append(lines, line)
	}
	widths := make([]int, len(lines[0]))
	for _, line := range lines {
		for i, text := range line {
			widths[i] = max(widths[i], len(text))
		}
	}
	for n, line := range lines {
		for i, text := range line {
			if i == 0 {
				fmt.Fprintf(b, "| %-*s ", widths[i], text)
			} else {
				fmt.Fprintf(b, "| %*s ", widths[i], text)
			}
		}
		b.WriteString("|\n")
		if n == 0 {
			for _, width := range widths {
				b.WriteString("|" + strings.Repeat("-", width+2))
			}
			b.WriteString("|\n")
		}
	}
}

// MarshalJSON encodes the settings, the machine and each row as an object with the
// keys of its cells, in the order of the table. A row also has "step" and "run",
// which is a number or "median".
func (r *Report) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	fmt.Fprintf(&b, `{"mode":%q,"settings":{`, r.Mode)
	writeCells(&b, r.Settings)
	b.WriteString(`},"machine":{`)
	writeCells(&b, r.Machine.cells())
	b.WriteString(`},"rows":[`)
	for i, row := range r.Rows {
		if i > 0 {
			b.WriteByte(',')
		}
		step, err := json.Marshal(row.Step)
		if err != nil {
			return nil, err
		}
		run := strconv.Itoa(row.Run)
		if row.Run == 0 {
			run = `"median"`
		}
		fmt.Fprintf(&b, `{"step":%s,"run":%s,`, step, run)
		writeCells(&b, row.Cells)
		b.WriteByte('}')
	}
	b.WriteString("]}")
	return b.Bytes(), nil
}

func writeCells(b *bytes.Buffer, cells []Cell) {
	for i, c := range cells {
		if i > 0 {
			b.WriteByte(',')
		}
		value := "null"
		if !math.IsNaN(c.Value) {
			value = strconv.FormatFloat(c.Value, 'f', -1, 64)
		}
		fmt.Fprintf(b, "%q:%s", c.Key, value)
	}
}

// WriteBenchmarks writes each run of each step as a line in the format of Go's
// benchmarks, for benchstat: "BenchmarkLoad/fanout/window_8 1 2.40
// server-cpu-us/delivery ...". It omits medians and unknown figures. The first line
// is a comment that describes the machine.
func (r *Report) WriteBenchmarks(w io.Writer) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# %s: %s\n", r.Mode, r.Machine)
	for _, row := range r.Rows {
		if row.Run == 0 {
			continue
		}
		fmt.Fprintf(&b, "BenchmarkLoad/%s/%s 1", r.Mode, strings.ReplaceAll(row.Step, " ", "_"))
		for _, c := range row.Cells {
			if math.IsNaN(c.Value) {
				continue
			}
			unit := strings.ReplaceAll(strings.ReplaceAll(c.Key, "_per_", "/"), "_", "-")
			fmt.Fprintf(&b, " %s %s", strconv.FormatFloat(c.Value, 'g', 6, 64), unit)
		}
		b.WriteByte('\n')
	}
	_, err := w.Write(b.Bytes())
	return err
}
