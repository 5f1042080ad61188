package longpoll

import (
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/require"
)

var wireExamples = map[string]struct {
	message wireMessage
	hex     string
}{
	"poll": {
		wireMessage{kind: kindPoll, call: 7, from: replicaID{1}, client: clientID{2}},
		"c601010000000000000007" + "01000000000000000000000000000000" + "02000000000000000000000000000000",
	},
	"publish": {
		wireMessage{kind: kindPublish, call: 7, from: replicaID{1}, client: clientID{2}, data: appendEntry(appendEntry(nil, entry{data: []byte("[]")}), entry{binary: true, data: []byte("x")})},
		"c601020000000000000007" + "01000000000000000000000000000000" + "02000000000000000000000000000000" + "00025b5d" + "010178",
	},
	"cancel": {
		wireMessage{kind: kindCancel, call: 7, from: replicaID{1}, client: clientID{2}},
		"c601030000000000000007" + "01000000000000000000000000000000" + "02000000000000000000000000000000",
	},
	"drop": {
		wireMessage{kind: kindDrop, from: replicaID{1}, client: clientID{2}},
		"c601040000000000000000" + "01000000000000000000000000000000" + "02000000000000000000000000000000",
	},
	"answer": {
		wireMessage{kind: kindAnswer, call: 7, from: replicaID{1}, client: clientID{2}, status: answerMessages, last: true, part: 300, data: appendMessage(nil, []byte("hi"))},
		"c601050000000000000007" + "01000000000000000000000000000000" + "02000000000000000000000000000000" + "0201ac02" + "026869",
	},
}

func TestTheWireFormatIsAsDocumented(t *testing.T) {
	for name, tt := range wireExamples {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, tt.hex, hex.EncodeToString(tt.message.encode()))
			got, err := decodeWire(tt.message.encode())
			require.NoError(t, err)
			if len(got.data) == 0 {
				got.data = nil
			}
			require.Equal(t, tt.message, got)
		})
	}
}

func TestMalformedMessagesOnTheBusAreErrors(t *testing.T) {
	const head = "01000000000000000000000000000000" + "02000000000000000000000000000000"
	for name, text := range map[string]string{
		"empty":               "",
		"another magic":       "c501010000000000000007" + head,
		"another version":     "c602010000000000000007" + head,
		"another kind":        "c601060000000000000007" + head,
		"cut in the head":     "c601010000000000000007" + head[2:],
		"poll with data":      "c601010000000000000007" + head + "00",
		"answer, no status":   "c601050000000000000007" + head,
		"answer, status 0":    "c601050000000000000007" + head + "000100",
		"answer, status 7":    "c601050000000000000007" + head + "070100",
		"answer, last is 2":   "c601050000000000000007" + head + "020200",
		"answer, part is cut": "c601050000000000000007" + head + "0201ac",
	} {
		t.Run(name, func(t *testing.T) {
			data, err := hex.DecodeString(text)
			require.NoError(t, err)
			_, err = decodeWire(data)
			require.ErrorIs(t, err, errWire)
		})
	}
	for _, text := range []string{"02", "00", "0005616263", "00ffffffffffffffffff01"} {
		data, err := hex.DecodeString(text)
		require.NoError(t, err)
		_, err = decodeEntries(data)
		require.ErrorIs(t, err, errWire, text)
	}
	_, err := decodeMessages([]byte{5, 'a'})
	require.ErrorIs(t, err, errWire)
	var many []byte
	for range maxBatch + 1 {
		many = appendEntry(many, entry{})
	}
	_, err = decodeEntries(many)
	require.ErrorIs(t, err, errWire)
}

// FuzzWire: nothing panics, and what is read says the same when written again.
func FuzzWire(f *testing.F) {
	for _, tt := range wireExamples {
		f.Add(tt.message.encode())
	}
	f.Add([]byte{wireMagic, wireVersion, 1})
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := decodeWire(data)
		if err != nil {
			return
		}
		again, err := decodeWire(m.encode())
		require.NoError(t, err)
		require.Equal(t, m.kind, again.kind)
		require.Equal(t, m.part, again.part)
		require.Equal(t, string(m.data), string(again.data))
		if entries, err := decodeEntries(m.data); err == nil {
			var b []byte
			for _, e := range entries {
				b = appendEntry(b, e)
			}
			same, err := decodeEntries(b)
			require.NoError(t, err)
			require.Equal(t, entries, same)
		}
		if messages, err := decodeMessages(m.data); err == nil {
			total := 0
			for _, message := range messages {
				total += len(message)
			}
			require.LessOrEqual(t, total, len(m.data))
		}
	})
}
