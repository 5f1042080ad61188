// Benchtable prints what benchmarks said as a table: one line a benchmark, with the
// median of its runs.
//
//	go test -run '^$' -bench . -benchmem ./... > new.txt
//	go run ./cmd/internal/benchtable new.txt
//
// It reads the format of Go's benchmarks, as benchstat does, which compares two such
// files. "make bench" and "make load" use both. What is in no benchmark's line is
// left out, but for the line that begins a package.
package main
