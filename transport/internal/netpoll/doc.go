// Package netpoll reads and writes many connections with few goroutines, whatever
// the connections are: plain sockets, TLS, or any other [net.Conn].
//
// It has two parts. A [Poller] waits for the input of connections, so that an idle
// connection needs no goroutine where the system allows it. A [Conn] is a connection
// of which a caller reads what has arrived and writes what is taken at once. What the
// system and the kind of connection do not allow is made up for by goroutines in here,
// which last no longer than they are needed. Callers have one path for all kinds.
//
//	c := netpoll.New(hijacked)
//	w.Init(c, handler)
//	poller.Park(&w)             // later handler.Ready() is called, once
//	n, err := c.TryRead(buf)    // 0, nil: no input
//	n, err = c.TryWrite(p)      // less than len(p): the rest is for WaitWrite
//
// # The kinds of connections
//
//	            plain socket, Unix     TLS over one, Linux        all others
//	Park        Linux: epoll           epoll on the socket        a goroutine in Read
//	            else: a goroutine
//	TryRead     read(2)                what TLS has, and what     what that goroutine
//	                                   the socket has             has read
//	TryWrite    sendto(2)              a record at a time, if     nothing
//	                                   the socket has room
//	WaitWrite   waits for room         Write                      Write
//
// # TLS
//
// A [tls.Conn] may hold input back: a record of which the rest is missing, or whole
// records that arrived together. A read whose deadline has passed returns what needs
// no input from the socket, and TryRead makes such reads. [Conn.Direct] reports for which
// connections a caller must call it before it parks them. Where the rest of a record is
// missing, a read ends after recordWait and is continued by a later one: crypto/tls
// keeps what it has when a read times out. (net/http does the same to it when it
// hands a connection over.)
//
// After a write that timed out a tls.Conn is corrupt, so none may be given up. TryWrite
// looks whether the socket has room, which the kernel says when a third of its buffer
// is free, and writes one record. Should that wait nevertheless, it goes on in its
// goroutine after writeWait, and WaitWrite waits for it.
//
// # What a waiting connection costs
//
// With epoll a parked connection has an entry of the kernel and a place in a table: no
// goroutine, buffer or timer. TLS adds what crypto/tls keeps, its keys and the buffer of
// the last record. Elsewhere a parked connection has a goroutine and 512 bytes.
//
// # Concurrency and shutdown
//
// A connection is read by one goroutine at a time and written by one at a time. All
// methods of a Poller may be called concurrently. Its goroutines belong to the WaitGroup
// that it is made with: those of connections end when their connection is closed, the
// others at [Poller.Close]. A write that goes on in its goroutine ends when the
// connection is aborted; the caller waits for it with WaitWrite.
package netpoll
