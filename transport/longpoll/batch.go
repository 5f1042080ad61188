package longpoll

import (
	"bytes"
	"encoding/base64"
	"errors"
)

// An entry is one message of a client.
type entry struct {
	binary bool
	data   []byte
}

// maxBatch is the most messages of one body; those after it are ignored (B101).
const maxBatch = 100

// ndjson is the one media type of batches.
const ndjson = "application/x-ndjson"

var (
	errBase64      = errors.New("longpoll: a line that is neither text nor base64")
	errEntryTooBig = errors.New("longpoll: message too big")
)

// parseBody takes the body of a POST apart (B101, B102). A batch has one message
// on each line: text, if it begins with "[", else the base64 of a binary one;
// so an empty line is an empty binary message, which no session takes. Any other
// body is one message, as it is. Of a faulty body no message is used. The
// entries refer to body. It never panics, and allocates no more than body is
// long.
func parseBody(contentType string, body []byte, maxFrame int) ([]entry, error) {
	if contentType != ndjson {
		if len(body) > maxFrame {
			return nil, errEntryTooBig
		}
		return []entry{{data: body}}, nil
	}
	var entries []entry
	for len(entries) < maxBatch {
		line, rest, more := bytes.Cut(body, []byte{'\n'})
		e, err := parseLine(bytes.TrimSuffix(line, []byte{'\r'}))
		if err != nil {
			return nil, err
		}
		if len(e.data) > maxFrame {
			return nil, errEntryTooBig
		}
		entries = append(entries, e)
		if !more {
			break
		}
		body = rest
	}
	return entries, nil
}

func parseLine(line []byte) (entry, error) {
	if len(line) > 0 && line[0] == '[' {
		return entry{data: line}, nil
	}
	if bytes.IndexByte(line, '\r') >= 0 {
		return entry{}, errBase64 // the decoder would skip it
	}
	data := make([]byte, base64.StdEncoding.DecodedLen(len(line)))
	n, err := base64.StdEncoding.Decode(data, line)
	if err != nil {
		return entry{}, errBase64
	}
	return entry{binary: true, data: data[:n]}, nil
}
