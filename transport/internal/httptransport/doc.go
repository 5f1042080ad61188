// Package httptransport is what the transports over HTTP do alike to let a client
// in: read from the request what package channel is told of it ([ConnectInfo]),
// ask for its session and then the handler ([Door]), and check their options
// ([Positive]).
//
// All of it may be called concurrently; there is nothing to start or to shut
// down.
package httptransport
