// Package e2e tests the commands as their users meet them: built, started as
// processes, and talked to by programs that are not ours. It has no code.
//
// # In a browser
//
// TestBrowser plays the pointing party in Chromium, with users on two replicas
// of one cluster, of which one is killed: the files browser_*.test.mjs, run by
// Node over playwright-core. browser_cluster.mjs has the replicas,
// browser_party.mjs the users: what they do, what they see, and every frame that
// their page was sent.
//
// It installs what it needs: the npm packages of this directory and of the
// pointing party's page, with "npm ci", and Chromium, with apt-get, where it
// runs as root and finds none. Environment variables change that:
//
//	ROLLCALL_CHROMIUM      the browser to use
//	ROLLCALL_NO_BROWSER=1  leave the browser out
//	ROLLCALL_SCREENSHOTS   the directory for pictures of the page (default in the temporary directory)
package e2e
