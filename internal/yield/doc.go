// Package yield lets work that can wait give way to work that cannot.
//
// Go's scheduler knows no priorities: who can run gets its turn after those who
// could before. When thousands of clients come at once, a message between two who
// have been there for long waits for that turn four times on its way (the poll, the
// reader, the channel, the writer); and as long as every processor finds something
// to run, the network is looked at every 10 ms only. So those who serve the ones who
// come call [ToOthers] between two of them: a storm then takes what time is left,
// and makes pauses in which everything else goes through.
//
// How it was measured is told where it is used: in packages transport/intake,
// transport/websocket and channel.
package yield
