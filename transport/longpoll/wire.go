package longpoll

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// What replicas say to each other about a client. All messages begin with
//
//	byte  0       wireMagic
//	byte  1       wireVersion
//	byte  2       the kind
//	bytes 3-10    the call, chosen by who asks, big endian
//	bytes 11-26   the replica that says it
//	bytes 27-42   the client
//
// and what remains is: of kindPublish the messages of the client, each a byte
// that is 1 for binary, a uvarint, and so many bytes; of kindAnswer
//
//	byte  43      the status
//	byte  44      1 in the last part of an answer, else 0
//	uvarint       the number of the part, from 0
//	              a part of the data: of answerMessages the messages to the
//	              client, each a uvarint and so many bytes
//
// and of the others nothing.
const (
	wireMagic   = 0xC6
	wireVersion = 1
	wireHead    = 3 + 8 + len(replicaID{}) + len(clientID{})

	// askOverhead is the most bytes that a message of a client needs around it,
	// answerOverhead a part of an answer, and minPayload what a bus must carry.
	askOverhead    = wireHead + 1 + binary.MaxVarintLen64
	answerOverhead = wireHead + 2 + binary.MaxVarintLen64
	minPayload     = 1 << 10
)

type wireKind byte

const (
	kindPoll    wireKind = 1 // answered with waiting, and then or at once with what a poll gets
	kindPublish wireKind = 2 // answered with accepted, timeout or gone
	kindCancel  wireKind = 3 // the call is over: its poll takes nothing more
	kindDrop    wireKind = 4 // what the client was given did not arrive: it ends
	kindAnswer  wireKind = 5
)

type wireStatus byte

const (
	answerWaiting  wireStatus = 1 // the poll waits; another answer follows
	answerMessages wireStatus = 2
	answerNothing  wireStatus = 3
	answerGone     wireStatus = 4
	answerAccepted wireStatus = 5
	answerTimeout  wireStatus = 6
)

// A wireMessage is one message on the bus.
type wireMessage struct {
	kind   wireKind
	call   uint64
	from   replicaID
	client clientID

	// Of an answer.
	status wireStatus
	last   bool
	part   uint64

	data []byte // what remains
}

var errWire = errors.New("longpoll: malformed message on the bus")

func (m wireMessage) encode() []byte {
	b := make([]byte, 0, answerOverhead+len(m.data))
	b = append(b, wireMagic, wireVersion, byte(m.kind))
	b = binary.BigEndian.AppendUint64(b, m.call)
	b = append(b, m.from[:]...)
	b = append(b, m.client[:]...)
	if m.kind == kindAnswer {
		var last byte
		if m.last {
			last = 1
		}
		b = append(b, byte(m.status), last)
		b = binary.AppendUvarint(b, m.part)
	}
	return append(b, m.data...)
}

// decodeWire reads a message, whose data refers to b. It never panics and
// allocates nothing of b's size.
func decodeWire(b []byte) (m wireMessage, err error) {
	if len(b) < wireHead || b[0] != wireMagic {
		return m, errWire
	}
	if b[1] != wireVersion {
		return m, fmt.Errorf("%w: version %d", errWire, b[1])
	}
	m.kind = wireKind(b[2])
	m.call = binary.BigEndian.Uint64(b[3:])
	copy(m.from[:], b[11:])
	copy(m.client[:], b[27:])
	rest := b[wireHead:]
	switch m.kind {
	case kindPublish:
		m.data = rest
		return m, nil
	case kindPoll, kindCancel, kindDrop:
		if len(rest) > 0 {
			return m, fmt.Errorf("%w: %d bytes too many", errWire, len(rest))
		}
		return m, nil
	case kindAnswer:
		if len(rest) < 3 || rest[1] > 1 {
			return m, fmt.Errorf("%w: answer", errWire)
		}
		m.status, m.last = wireStatus(rest[0]), rest[1] == 1
		if m.status < answerWaiting || m.status > answerTimeout {
			return m, fmt.Errorf("%w: status %d", errWire, m.status)
		}
		part, size := binary.Uvarint(rest[2:])
		if size <= 0 {
			return m, fmt.Errorf("%w: part", errWire)
		}
		m.part, m.data = part, rest[2+size:]
		return m, nil
	}
	return m, fmt.Errorf("%w: kind %d", errWire, m.kind)
}

func appendEntry(b []byte, e entry) []byte {
	var flag byte
	if e.binary {
		flag = 1
	}
	b = append(b, flag)
	return appendMessage(b, e.data)
}

func appendMessage(b, message []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(len(message))), message...)
}

// decodeEntries reads the messages of a kindPublish. They refer to b.
func decodeEntries(b []byte) ([]entry, error) {
	var entries []entry
	for len(b) > 0 {
		if b[0] > 1 || len(entries) == maxBatch {
			return nil, fmt.Errorf("%w: messages of a client", errWire)
		}
		data, rest, err := cutMessage(b[1:])
		if err != nil {
			return nil, err
		}
		entries = append(entries, entry{binary: b[0] == 1, data: data})
		b = rest
	}
	return entries, nil
}

// decodeMessages reads the messages of an answer. They refer to b.
func decodeMessages(b []byte) ([][]byte, error) {
	var messages [][]byte
	for len(b) > 0 {
		data, rest, err := cutMessage(b)
		if err != nil {
			return nil, err
		}
		messages = append(messages, data)
		b = rest
	}
	return messages, nil
}

func cutMessage(b []byte) (message, rest []byte, err error) {
	n, size := binary.Uvarint(b)
	if size <= 0 || n > uint64(len(b)-size) {
		return nil, nil, fmt.Errorf("%w: cut short", errWire)
	}
	return b[size : size+int(n)], b[size+int(n):], nil
}
