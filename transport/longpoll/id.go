package longpoll

import "encoding/hex"

// A replicaID names one running transport, by chance.
type replicaID [16]byte

// dest is where that transport is reached.
func (id replicaID) dest() string { return "l:" + hex.EncodeToString(id[:]) }

// A clientID names one client of one transport, by chance.
type clientID [16]byte
