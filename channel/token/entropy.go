package token

import (
	"crypto/rand"
	"io"
)

// defaultRand is where nonces come from unless the config says otherwise. It
// never fails.
var defaultRand io.Reader = rand.Reader

// uniqueID names a connection that has no id of its own.
func uniqueID() string { return "token:" + rand.Text() }
