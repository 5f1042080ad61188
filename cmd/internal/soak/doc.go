// Package soak has no code, only a test of presence with real parts: replicas
// that are processes, on a cluster of three NATS servers that are processes too,
// all on loopback addresses. Processes are killed, stopped, replaced and cut off
// from each other; after each, every replica lists the same, nobody is listed who
// is not there, and every watcher was told only true differences.
//
// The test binary is every part: it starts itself again as a NATS server or as a
// replica (see process_test.go). Replicas are told what to do on their standard
// input, and tell what their watchers see on their standard output; both end when
// that input ends, so that none outlives the test.
//
// Routes between the servers lead through proxies of the test (proxy_test.go),
// which can be cut.
//
// That these tests fail when what they are about is removed is seen with "make
// mutants": testdata/mutants.txt.
package soak
