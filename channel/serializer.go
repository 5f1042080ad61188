package channel

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// A Serializer turns messages into frames and frames into messages, for one
// version of the protocol. Both methods are called concurrently.
type Serializer interface {
	// Decode reads a frame of a client. The text of a text frame has been
	// checked to be UTF-8. It must not keep data, and must not panic whatever
	// data is. An error closes the connection with 1011.
	Decode(binary bool, data []byte) (Message, error)
	// Encode makes the frame of a message to a client.
	Encode(m Message) (*Frame, error)
}

// A dialect is a serializer with the versions it serves, and its place in the
// table of frames that a broadcast keeps, one for each serializer.
type dialect struct {
	// major and minor: serves major.minor.x, as Elixir's "~> major.minor.0".
	major, minor int
	index        int
	Serializer
}

func (d *dialect) String() string { return fmt.Sprintf("%d.%d", d.major, d.minor) }

// maxDialects is the size of that table.
const maxDialects = 2

// dialects are the serializers that are spoken here.
var dialects = []*dialect{
	{major: 2, minor: 0, index: 0, Serializer: v2{}},
	{major: 1, minor: 0, index: 1, Serializer: v1{}},
}

// defaultVsn is what a client without vsn speaks.
const defaultVsn = "1.0.0"

var errVsnForm = errors.New("not of the form x.y.z")

// negotiate finds the serializer of a version (rows B004, B005).
func negotiate(vsn string) (*dialect, error) {
	major, minor, err := parseVsn(vsn)
	if err != nil {
		return nil, fmt.Errorf("%w: %q: %w", ErrVersion, vsn, err)
	}
	for _, d := range dialects {
		if d.major == major && d.minor == minor {
			return d, nil
		}
	}
	return nil, fmt.Errorf("%w: %q", ErrVersion, vsn)
}

func parseVsn(vsn string) (major, minor int, err error) {
	parts := strings.Split(vsn, ".")
	if len(parts) != 3 {
		return 0, 0, errVsnForm
	}
	var n [3]int
	for i, part := range parts {
		u, err := strconv.ParseUint(part, 10, 31)
		if err != nil || len(part) > 1 && part[0] == '0' {
			return 0, 0, errVsnForm
		}
		n[i] = int(u)
	}
	return n[0], n[1], nil
}
