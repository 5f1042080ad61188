// Rollcall-bench is a load generator for the presence service. Its clients speak
// the Phoenix protocol over real sockets. It reports CPU, memory and latency.
//
//	rollcall-bench MODE --self                       start "rollcall serve" for the run
//	rollcall-bench MODE --url http://127.0.0.1:4000  measure a running server on this machine
//	rollcall-bench --help                            list modes and flags
//
// With --self it starts the program named by --server, the rollcall binary beside
// its own executable, or the one in PATH, in that order. It stops every process
// that it started before it exits, also on SIGINT and SIGTERM.
//
// The report is a table, JSON (--json) or Go benchmark lines (--benchfmt). Package
// load in internal/load describes the modes, how latency is measured, and what the
// figures mean.
package main
