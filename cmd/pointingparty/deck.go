package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits of a deck. A card travels in its driver's presence meta, which may
// have 8 KiB, next to less than 1 KiB of other things.
const (
	maxDeckBytes   = 1 << 20 // of the file
	maxCards       = 500
	maxTitle       = 120  // characters
	maxDescription = 1000 // characters
	maxCardBytes   = 6 << 10
	maxDeckFaults  = 10 // reported at once
)

// Card is what is being pointed: one story.
type Card struct {
	Title       string `json:"title"`
	Description string `json:"description"`
}

// Deck is the cards of a party, in the order in which they are shown. It is
// never empty and never changed.
type Deck []Card

// DeckError says what is wrong with a file of cards, and where.
type DeckError struct {
	File string
	Line int // 1 is the first; 0: the file as a whole
	What string
}

func (e *DeckError) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("pointingparty: %s: %s", e.File, e.What)
	}
	return fmt.Sprintf("pointingparty: %s:%d: %s", e.File, e.Line, e.What)
}

// LoadDeck reads a deck from a JSON file: an array of objects with "title" and
// "description" (which may be left out). Every fault is a [*DeckError]; up to
// ten are joined.
func LoadDeck(file string) (Deck, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("pointingparty: cards: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxDeckBytes+1))
	if err != nil {
		return nil, fmt.Errorf("pointingparty: cards: %w", err)
	}
	return parseDeck(file, data)
}

// parseDeck is LoadDeck on what the file holds; file is for the errors.
func parseDeck(file string, data []byte) (Deck, error) {
	at := func(offset int64, format string, args ...any) *DeckError {
		return &DeckError{File: file, Line: lineAt(data, offset), What: fmt.Sprintf(format, args...)}
	}
	if len(data) > maxDeckBytes {
		return nil, &DeckError{File: file, What: fmt.Sprintf("larger than %d bytes", maxDeckBytes)}
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	if i := invalidUTF8(data); i >= 0 {
		return nil, at(int64(i), "not valid UTF-8")
	}

	// Syntax first: only a whole reading says exactly where it breaks.
	var whole json.RawMessage
	if err := json.Unmarshal(data, &whole); err != nil {
		return nil, at(errorOffset(err), "%s", describe(err))
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	if token, err := dec.Token(); err != nil || token != json.Delim('[') {
		return nil, at(0, `not an array: want [{"title": "...", "description": "..."}, ...]`)
	}
	var deck Deck
	var faults []error
	for dec.More() {
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return nil, at(dec.InputOffset(), "%s", describe(err))
		}
		start := dec.InputOffset() - int64(len(raw))
		card, offset, err := parseCard(raw)
		deck = append(deck, card)
		if err != nil {
			faults = append(faults, at(start+offset, "card %d: %s", len(deck), describe(err)))
		}
		if len(deck) > maxCards {
			faults = append(faults, at(start, "more than %d cards", maxCards))
		}
		if len(deck) > maxCards || len(faults) == maxDeckFaults {
			return nil, errors.Join(faults...)
		}
	}
	if len(deck) == 0 {
		faults = append(faults, at(0, "no cards: the array is empty"))
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	return deck, nil
}

// parseCard reads one element of the array. offset, within raw, is where an
// error is.
func parseCard(raw json.RawMessage) (card Card, offset int64, err error) {
	if raw[0] != '{' {
		return Card{}, 0, errors.New(`not an object with "title" and "description"`)
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&card); err != nil {
		return Card{}, errorOffset(err), err
	}
	card.Title = strings.TrimSpace(card.Title)
	card.Description = strings.TrimSpace(card.Description)
	return card, 0, card.check()
}

func (c Card) check() error {
	if c.Title == "" {
		return errors.New(`"title" is missing or empty`)
	}
	if n := utf8.RuneCountInString(c.Title); n > maxTitle {
		return fmt.Errorf(`"title" has %d characters, at most %d are allowed`, n, maxTitle)
	}
	if n := utf8.RuneCountInString(c.Description); n > maxDescription {
		return fmt.Errorf(`"description" has %d characters, at most %d are allowed`, n, maxDescription)
	}
	if strings.ContainsFunc(c.Title, unicode.IsControl) {
		return errors.New(`"title" has a line break or another control character`)
	}
	if strings.ContainsFunc(c.Description, func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' && r != '\r' }) {
		return errors.New(`"description" has a control character that is not a line break`)
	}
	if b, _ := json.Marshal(c); len(b) > maxCardBytes {
		return fmt.Errorf("takes %d bytes encoded, at most %d are allowed", len(b), maxCardBytes)
	}
	return nil
}

// describe words an error of encoding/json for somebody who wrote the file.
func describe(err error) string {
	var typ *json.UnmarshalTypeError
	switch {
	case atEnd(err):
		return "the file ends too early: is a bracket or a quote missing?"
	case errors.As(err, &typ):
		return fmt.Sprintf("%q is a %s, want a text in quotes", typ.Field, typ.Value)
	default:
		return strings.TrimPrefix(err.Error(), "json: ")
	}
}

// errorOffset is where in its input encoding/json met err.
func errorOffset(err error) int64 {
	var syntax *json.SyntaxError
	var typ *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax) && atEnd(err):
		return syntax.Offset
	case errors.As(err, &syntax):
		return max(syntax.Offset-1, 0) // Offset is behind the offending byte
	case errors.As(err, &typ):
		return max(typ.Offset-1, 0)
	}
	return 0
}

// atEnd reports whether encoding/json missed something at the end of its input.
func atEnd(err error) bool {
	return strings.HasPrefix(err.Error(), "unexpected end")
}

// lineAt is the number of the line that holds the byte at offset.
func lineAt(data []byte, offset int64) int {
	offset = min(max(offset, 0), int64(len(data)))
	return 1 + bytes.Count(data[:offset], []byte("\n"))
}

// invalidUTF8 is the offset of the first byte that is not UTF-8, or -1.
func invalidUTF8(data []byte) int {
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && size == 1 {
			return i
		}
		i += size
	}
	return -1
}

// builtinDeck is played when no file of cards is given.
var builtinDeck = Deck{
	{"Dark mode that follows the sun", "The page turns dark at sunset and light again at sunrise, wherever the reader is. A switch overrules the sun."},
	{"Undo for the send button", "Sending waits five seconds, in which a small bar offers to take it back. Nothing leaves the outbox before that."},
	{"Search that forgives typos", "“Acommodation” finds accommodation. Results come while typing, and the best guess is said out loud to screen readers."},
	{"A password reset people can finish", "One mail, one link, one page. The link works once, for an hour, and says so kindly when it is too late."},
	{"Export everything as a spreadsheet", "All orders of a year in one file that opens with the umlauts intact. Large exports arrive by mail when they are ready."},
	{"Seats on a map", "Guests pick their seats on a plan of the hall. A seat that somebody else is just taking turns grey at once."},
	{"Keep a draft when the train enters the tunnel", "What was typed without a connection is kept on the device and goes out when the signal is back, in order, once."},
	{"Delete the old billing job", "Nobody remembers why it runs at night. Find out what still needs it, move that, and switch it off without anyone noticing."},
}
