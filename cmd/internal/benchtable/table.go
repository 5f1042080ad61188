package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// table is the benchmarks of some files, in the order in which they came.
type table struct {
	rows []*row
	pkg  string // that of the lines that come
}

// row is one benchmark with all its runs.
type row struct {
	pkg, name string
	units     []string // in the order of the line
	values    map[string][]float64
}

// columns are the units that have a column; others follow behind.
var columns = []string{"ns/op", "B/op", "allocs/op"}

var errEmpty = errors.New("no benchmark")

// read adds the benchmarks of a file.
func (t *table) read(r io.Reader) error {
	found := false
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		if pkg, ok := strings.CutPrefix(lines.Text(), "pkg: "); ok {
			t.pkg = pkg
			continue
		}
		fields := strings.Fields(lines.Text())
		if len(fields) < 4 || len(fields)%2 != 0 || !strings.HasPrefix(fields[0], "Benchmark") {
			continue
		}
		if _, err := strconv.Atoi(fields[1]); err != nil {
			continue
		}
		row := t.row(strings.TrimPrefix(fields[0], "Benchmark"))
		for i := 2; i < len(fields); i += 2 {
			value, err := strconv.ParseFloat(fields[i], 64)
			if err != nil {
				return fmt.Errorf("%q is no number in %q", fields[i], lines.Text())
			}
			unit := fields[i+1]
			if row.values[unit] == nil {
				row.units = append(row.units, unit)
			}
			row.values[unit] = append(row.values[unit], value)
		}
		found = true
	}
	if err := lines.Err(); err != nil {
		return err
	}
	if !found {
		return errEmpty
	}
	return nil
}

// row is that of a benchmark, made when it is new.
func (t *table) row(name string) *row {
	for _, r := range t.rows {
		if r.pkg == t.pkg && r.name == name {
			return r
		}
	}
	r := &row{pkg: t.pkg, name: name, values: map[string][]float64{}}
	t.rows = append(t.rows, r)
	return r
}

// write prints the table, with the packages as headings.
func (t *table) write(w io.Writer) error {
	var lines [][]string
	widths := make([]int, len(columns)+1)
	add := func(line []string) {
		for i := range widths {
			widths[i] = max(widths[i], len(line[i]))
		}
		lines = append(lines, line)
	}
	add(append([]string{"benchmark"}, append(slices.Clone(columns), "")...))
	for _, r := range t.rows {
		line := []string{r.name}
		for _, unit := range columns {
			text := ""
			if values := r.values[unit]; len(values) > 0 {
				text = figure(median(values))
			}
			line = append(line, text)
		}
		var others []string
		for _, unit := range r.units {
			if !slices.Contains(columns, unit) {
				others = append(others, figure(median(r.values[unit]))+" "+unit)
			}
		}
		add(append(line, strings.Join(others, "  ")))
	}
	var b bytes.Buffer
	pkg := ""
	for n, line := range lines {
		if n > 0 && t.rows[n-1].pkg != pkg {
			pkg = t.rows[n-1].pkg
			fmt.Fprintf(&b, "\n%s\n", pkg)
		}
		text := fmt.Sprintf("%-*s", widths[0], line[0])
		for i := 1; i < len(line)-1; i++ {
			text += fmt.Sprintf("  %*s", widths[i], line[i])
		}
		b.WriteString(strings.TrimRight(text+"  "+line[len(line)-1], " ") + "\n")
	}
	_, err := w.Write(b.Bytes())
	return err
}

// median sorts values. Of an even number it is the lower of the middle two.
func median(values []float64) float64 {
	slices.Sort(values)
	return values[(len(values)-1)/2]
}

// figure writes a number with at least three digits, and thousands apart.
func figure(v float64) string {
	switch {
	case v != 0 && v < 10 && v > -10:
		return strings.TrimSuffix(strconv.FormatFloat(v, 'f', 2, 64), ".00")
	case v < 100 && v > -100:
		return strings.TrimSuffix(strconv.FormatFloat(v, 'f', 1, 64), ".0")
	}
	digits := strconv.FormatFloat(v, 'f', 0, 64)
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
