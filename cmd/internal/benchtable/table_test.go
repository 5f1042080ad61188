package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestTableHasALineForEachBenchmarkWithMedians(t *testing.T) {
	var tab table
	require.NoError(t, tab.read(strings.NewReader(`# 2 CPUs
goos: linux
pkg: example.org/a
BenchmarkTrack/more-2 	 100	 3313 ns/op	 892 B/op	 7 allocs/op
BenchmarkTrack/more-2 	 100	 9999 ns/op	 892 B/op	 7 allocs/op
BenchmarkTrack/more-2 	 100	 3000 ns/op	 892 B/op	 7 allocs/op
--- BENCH: BenchmarkTrack
    a_test.go:1: Benchmark of something 1 2
BenchmarkMemory-2 	 1	 149.25 remote-B	 0.5 own-B	 1234567 B/op	 0 allocs/op
PASS
pkg: example.org/b
BenchmarkTrack/more-2 	 100	 12.5 ns/op
`)))
	var b strings.Builder
	require.NoError(t, tab.write(&b))
	require.Equal(t, `benchmark     ns/op       B/op  allocs/op

example.org/a
Track/more-2  3,313        892          7
Memory-2             1,234,567          0  149 remote-B  0.50 own-B

example.org/b
Track/more-2   12.5
`, b.String())
}

func TestWhatHasNoBenchmarkOrNoNumberIsAnError(t *testing.T) {
	require.ErrorIs(t, new(table).read(strings.NewReader("FAIL\n")), errEmpty)
	require.ErrorContains(t, new(table).read(strings.NewReader("BenchmarkX 1 a ns/op\n")), `"a" is no number`)
	require.ErrorContains(t, run([]string{"testdata/none"}), "testdata/none")
}

func TestFiguresHaveThreeDigits(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 2: "2", 2.345: "2.35", 12.34: "12.3", 99: "99", 999.6: "1,000", 1234567: "1,234,567", -1234: "-1,234"} {
		require.Equal(t, want, figure(v))
	}
}
