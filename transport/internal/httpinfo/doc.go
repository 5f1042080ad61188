// Package httpinfo reads from an HTTP request what all transports tell package
// channel of a client. It is pure: there is nothing to start or to shut down.
package httpinfo
