package main

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
)

// errSecret is why a client is not let in; it is for the log.
var errSecret = errors.New("rollcall: the client does not know the secret")

const secretVariable = "ROLLCALL_SECRET"

// secret is what clients must show, hashed, so that a comparison takes the same
// time whatever the client sends and however long that is.
type secret struct{ hash [sha256.Size]byte }

func newSecret(text string) *secret { return &secret{sha256.Sum256([]byte(text))} }

// is reports whether text is the secret.
func (s *secret) is(text string) bool {
	hash := sha256.Sum256([]byte(text))
	return subtle.ConstantTimeCompare(hash[:], s.hash[:]) == 1
}

// secretFlags are the flags that say where the secret is.
type secretFlags struct {
	text *string // nil: not given
	file *string
}

func (f *secretFlags) register(fs *flag.FlagSet) {
	fs.Func("secret", "`text` that clients must show to connect; others on this machine can read it here, prefer --secret-file or the variable "+secretVariable, func(v string) error {
		f.text = &v
		return nil
	})
	fs.Func("secret-file", "`file` with that text; spaces and line ends around it do not count", func(v string) error {
		f.file = &v
		return nil
	})
}

// load returns the secret, nil when none is configured. A flag comes before the
// variable. A secret that is given but empty is an error, as is a variable that
// is set to nothing: a slip there must not let everybody in.
func (f *secretFlags) load(lookupEnv func(string) (string, bool)) (*secret, error) {
	var source, text string
	switch {
	case f.text != nil && f.file != nil:
		return nil, errors.New("--secret and --secret-file: give one of them")
	case f.text != nil:
		source, text = "--secret", *f.text
	case f.file != nil:
		data, err := os.ReadFile(*f.file)
		if err != nil {
			return nil, fmt.Errorf("--secret-file: %w", err)
		}
		source, text = "--secret-file "+*f.file, strings.TrimSpace(string(data))
	default:
		var set bool
		if text, set = lookupEnv(secretVariable); !set {
			return nil, nil
		}
		source = secretVariable
	}
	if text == "" {
		return nil, fmt.Errorf("%s: the secret is empty", source)
	}
	if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) {
		return nil, fmt.Errorf("%s: the secret must be printable ASCII, because phoenix.js garbles anything else in an auth token", source)
	}
	return newSecret(text), nil
}
