package plug

import (
	"crypto/rand"
	"io"
)

// defaultRand is where nonces come from unless the config says otherwise. It
// never fails.
var defaultRand io.Reader = rand.Reader
