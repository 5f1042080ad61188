// Package e2e tests the commands as their users meet them: built, started as
// processes, and talked to by programs that are not ours. It has no code.
//
// Everything that is started is ended with its test. The commands are built with
// the race detector when the tests are, and a race or a panic that they log
// fails the test.
//
// # With real clients
//
// TestClient runs client libraries of npm in Node, unmodified, against both
// commands: the files client_*.test.mjs. Most use the official one; in
// client_kinds.test.mjs older ones and one for version 1 of the protocol do the
// same, over WebSocket and long polling (client_libraries.mjs says which).
// client_process.mjs has the processes, a door in front of them that leads
// clients to another replica when theirs is gone, and a load balancer;
// client_socket.mjs has the client, with promises for what it calls back.
//
// The flag -node runs one of their tests, by its name.
//
// client_contract.test.mjs and client_timers.test.mjs show what the official
// client makes of what the server sends: the rows of the behaviour contract that
// are about the client.
//
// TestPhx does the same with a client in Go, which is a program of its own:
// phxclient.
//
// # In a browser
//
// TestBrowser plays the pointing party in Chromium, with users on two replicas
// of one cluster, of which one is killed: the files browser_*.test.mjs, run by
// Node over playwright-core. browser_cluster.mjs has the replicas,
// browser_party.mjs the users: what they do, what they see, and every frame that
// their page was sent.
//
// # What is needed
//
// Node 20 and npm: without them the tests fail. The rest is installed: the npm
// packages of this directory and of the pointing party's page, with "npm ci", and
// Chromium, with apt-get, where it runs as root and finds none. Environment
// variables change that:
//
//	ROLLCALL_CHROMIUM      the browser to use
//	ROLLCALL_NO_BROWSER=1  leave the browser out
//	ROLLCALL_SCREENSHOTS   the directory for pictures of the page (default in the temporary directory)
package e2e
